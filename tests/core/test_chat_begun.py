"""chat.core.chat and prompts: a reply that is there in part is continued."""

from typing import Any

import pytest

from chat.core.chat import Chat, Update
from chat.core.conversation import rebuild
from chat.core.gate import Gate
from chat.core.sampling import Sampling
from chat.core.tokens import FastTokens
from chat.errors import BadRequest, TooLong
from prompts import FORMATS, Message, PromptFormat, Reply, visible
from prompts.formats.plain import Plain
from tests.support.fakes import END, ScriptedEngine, chat_with
from tests.support.tiny import chatml_tokenizer, llama2_tokenizer

STOP = chr(END)
HISTORY = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
ASKED = [Message("user", "Hi")]


async def answer(chat: Chat, begun: Any, message: str = "c", **sampling: Any) -> list[Update]:
    chosen = Sampling(**sampling)
    return [update async for update in chat.reply(rebuild(HISTORY, message, "s", begun), chosen)]


async def test_the_model_reads_what_is_there_and_all_texts_begin_with_it() -> None:
    engine = ScriptedEngine(lambda prompt: ", two")
    updates = await answer(chat_with(engine), "one")
    assert engine.prompts == [
        f"system: s{STOP}user: a{STOP}assistant: b{STOP}user: c{STOP}assistant: one"
    ]
    assert updates[0].state == "reading"
    assert {update.text for update in updates} <= {"one, two"[:size] for size in range(3, 9)}
    assert (updates[0].text, updates[-1].text, updates[-1].tokens) == ("one", "one, two", 5)


async def test_white_space_that_was_left_out_of_what_was_shown_is_there_again() -> None:
    tokenizer = chatml_tokenizer()
    tokens = FastTokens(tokenizer)
    line = tokens.encode(["one,\n\n"])
    tokens.remember("one,", line)
    rest = tokens.encode(["two"])

    class Rest(ScriptedEngine):
        async def generate(
            self, prompt: Any, sampling: Any, negative: Any = (), session: Any = ""
        ) -> Any:
            assert list(prompt[-len(line) :]) == line
            yield rest

    chat = Chat(Rest(), tokens, FORMATS["chatml"](tokenizer, False), Gate(1, 0))
    assert (await answer(chat, "one,"))[-1].text == "one,\n\ntwo"
    whole = tokens.encode([Reply("one,\n\ntwo")])
    assert whole == line + rest, "the next turn's prompt begins with the very ids"


async def test_the_first_word_after_it_keeps_its_space() -> None:
    tokenizer = llama2_tokenizer()
    tokens = FastTokens(tokenizer)
    both = tokens.encode(["one two"])
    first = tokens.encode(["one"])
    assert both[: len(first)] == first

    class Rest(ScriptedEngine):
        async def generate(
            self, prompt: Any, sampling: Any, negative: Any = (), session: Any = ""
        ) -> Any:
            yield both[len(first) :]

    chat = Chat(Rest(), tokens, FORMATS["llama2"](tokenizer, False), Gate(1, 0))
    assert (await answer(chat, "one"))[-1].text == "one two"


async def test_a_stop_string_in_what_is_there_stops_nothing() -> None:
    engine = ScriptedEngine(lambda prompt: "b, c")
    assert (await answer(chat_with(engine), "a, ", stop=(",",)))[-1].text == "a, b"


async def test_the_length_limit_is_for_what_is_new() -> None:
    engine = ScriptedEngine(lambda prompt: "xyz")
    last = (await answer(chat_with(engine), "a" * 20, max_new_tokens=3))[-1]
    assert (last.text, last.tokens, last.state) == ("a" * 20 + "xyz", 3, "length")


async def test_what_is_there_counts_towards_the_window() -> None:
    engine = ScriptedEngine()
    with pytest.raises(TooLong, match=r"with the system prompt and the reply so far; the limit"):
        await answer(chat_with(engine), "a" * 1990, max_new_tokens=3)
    with pytest.raises(TooLong, match=r"Your reply so far has 200,000 characters"):
        await answer(chat_with(engine), "a" * 200_000)
    assert engine.prompts == []


async def test_a_reply_that_has_to_fit_a_pattern_is_not_continued() -> None:
    engine = ScriptedEngine()
    engine.supports = frozenset({"regex"})
    with pytest.raises(BadRequest, match="cannot be continued"):
        await answer(chat_with(engine), "a", regex="[ab]+")
    assert (await answer(chat_with(engine), "", regex="[ab]+"))[-1].text


@pytest.mark.parametrize(("echo", "begun"), [(True, "Once upon"), (False, " upon")])
async def test_a_base_model_reads_its_text_once(echo: bool, begun: str) -> None:
    engine = ScriptedEngine(lambda prompt: " a time")
    chat = chat_with(engine, format=Plain(echo=echo))
    updates = [update async for update in chat.reply(rebuild([], "Once", "", begun), Sampling())]
    assert engine.prompts == ["Once upon"]
    assert updates[-1].text == f"{begun} a time"


@pytest.mark.parametrize("name", sorted(FORMATS.keys() - {"template", "chatglm"}))
def test_a_prompt_is_cut_off_where_the_reply_is(name: str) -> None:
    format: PromptFormat = FORMATS[name](None, False)
    past = [*ASKED, Message("assistant", "one"), Message("user", "Go on")]
    whole = "".join(map(visible, format.pieces(past)))
    begun = "".join(map(visible, format.begun(ASKED, Message("assistant", "one")).pieces))
    assert whole.startswith(begun)
    assert begun.endswith("one")


@pytest.mark.parametrize("name", ["llama2", "alpaca", "chatglm"])
def test_nobody_can_forge_a_turn_in_what_is_there(name: str) -> None:
    format: PromptFormat = FORMATS[name](None, False)
    assert format.marks
    for mark in format.marks:
        reply = Message("assistant", f"so{mark}far")
        begun = "".join(map(visible, format.begun(ASKED, reply).pieces))
        assert mark not in begun.partition("so")[2]
