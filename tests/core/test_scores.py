"""chat.core.scores: how likely each token of a reply was, by the way of `Chat.reply`."""

import math
import pickle
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from chat.core.chat import Chat, Update
from chat.core.conversation import rebuild
from chat.core.engine import Scored
from chat.core.gate import Gate
from chat.core.sampling import Sampling
from chat.core.scores import TokenScore
from chat.core.tokens import FastTokens
from chat.errors import BadRequest
from tests.support.fakes import END, CharTokens, LineFormat, ScriptedEngine, chat_with
from tests.support.tiny import chatml_tokenizer, llama2_tokenizer

TOKENS = {"chatml": FastTokens(chatml_tokenizer()), "llama2": FastTokens(llama2_tokenizer())}


class Likely(ScriptedEngine):
    """Gives these ids, one after another, each a little less likely than the one before."""

    supports = frozenset({"logprobs", "top_logprobs", "logit_bias"})
    stop_ids = frozenset({10**6})

    def __init__(self, ids: Sequence[int]) -> None:
        super().__init__()
        self.ids = ids

    async def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int] = (),
        session: str = "",
    ) -> AsyncGenerator[list[int]]:
        self.samplings.append(sampling)
        for place, id in enumerate(self.ids):
            yield [Scored(id, -place / 8) if sampling.logprobs else id]


async def ask(chat: Chat, **sampling: Any) -> list[Update]:
    asked = Sampling(**{"logprobs": True, **sampling})
    return [update async for update in chat.reply(rebuild([], "hi", ""), asked)]


async def write(name: str, text: str, cut: int | None = None, **sampling: Any) -> list[Update]:
    """Return the updates of a reply with this text, without what follows the token `cut`."""
    ids = TOKENS[name].encode([text])[:cut]
    chat = Chat(Likely(ids), TOKENS[name], LineFormat(), Gate(1, 1))
    return await ask(chat, **sampling)


def texts(update: Update) -> str:
    return b"".join(score.bytes for score in update.scored).decode(errors="replace")


def scripted(text: str) -> Chat:
    engine = ScriptedEngine(lambda prompt: text)
    engine.supports = Likely.supports
    return chat_with(engine)


async def test_each_token_is_there_with_its_text_and_the_likeliest_in_its_place() -> None:
    last = (await ask(scripted("né"), top_logprobs=2))[-1]
    assert last.scored == (
        TokenScore("n", b"n", -0.25, (TokenScore("n", b"n", -0.25), TokenScore("o", b"o", -1.25))),
        TokenScore(
            "é",
            b"\xc3\xa9",
            -0.25,
            (TokenScore("é", b"\xc3\xa9", -0.25), TokenScore("ê", b"\xc3\xaa", -1.25)),
        ),
    )


async def test_the_one_that_ends_the_reply_is_not_among_them() -> None:
    updates = await ask(scripted("ab"))
    assert updates[-1].state == "finished"
    assert [score.text for score in updates[-1].scored] == ["a", "b"]


async def test_nothing_is_there_that_was_not_asked_for() -> None:
    for update in await ask(scripted("ab"), logprobs=False):
        assert update.scored == ()


@pytest.mark.parametrize("name", TOKENS)
async def test_they_go_as_far_as_the_text_that_is_shown(name: str) -> None:
    updates = await write(name, "The capital 🤖 of 你好 France")
    assert updates[-1].text == "The capital 🤖 of 你好 France"
    assert len({len(update.scored) for update in updates}) > 5
    for update in updates:
        # Updates show no stray white space.
        assert texts(update).strip() == update.text


@pytest.mark.parametrize("name", TOKENS)
async def test_parts_of_a_character_come_with_its_end(name: str) -> None:
    updates = await write(name, "a🤖")
    assert {len(update.scored) for update in updates} <= {0, 1, 2, len(updates[-1].scored)}
    last = [score for score in updates[-1].scored if "\ufffd" in score.text]
    assert len(last) > 1
    assert b"".join(score.bytes for score in last) == "🤖".encode()


@pytest.mark.parametrize("name", TOKENS)
async def test_half_a_character_at_the_end_of_a_reply_is_among_them(name: str) -> None:
    [*_, last] = await write(name, "a🤖", cut=-1)
    assert last.text == "a"
    assert "🤖".encode().startswith(last.scored[-1].bytes[-1:]) or last.scored[-1].text == "\ufffd"
    assert texts(last).strip().startswith("a\ufffd")


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("stop", ["🤖", "France", "nce", "of"])
async def test_what_is_cut_at_a_stop_string_is_not_among_them(name: str, stop: str) -> None:
    text = "The capital of France 🤖 is"
    updates = await write(name, text, stop=(stop,))
    assert updates[-1].text == text[: text.index(stop)].rstrip()
    for update in updates:
        assert text.startswith(texts(update).lstrip())
        assert not set(texts(update)) & {"\ufffd", "🤖"}
    # But for the token that the stop string begins in.
    assert updates[-1].text.startswith(texts(updates[-1]).strip()[:-1])
    assert len(updates[-1].text) - len(texts(updates[-1]).strip()) < 6


async def test_what_may_become_a_stop_string_waits_with_its_text() -> None:
    engine = Likely([ord(letter) for letter in "no END here"])
    updates = await ask(chat_with(engine), stop=("ENDED",))
    assert [len(update.scored) for update in updates] == [0, 1, 2, 3, 3, 3, 3, 7, 8, 9, 10, 11, 11]


async def test_a_token_of_which_a_part_waits_waits_as_a_whole() -> None:
    updates = await write("chatml", "of 你好 France", stop=("好的",))
    shown = [(update.text, texts(update)) for update in updates]
    assert ("of 你", "of") in shown
    assert shown[-1] == ("of 你好 France", "of 你好 France")


async def test_a_control_token_amid_a_reply_has_its_name() -> None:
    mark = chatml_tokenizer().convert_tokens_to_ids("<|im_start|>")
    tokens = TOKENS["chatml"]
    ids = [*tokens.encode(["a"]), mark, *tokens.encode(["b"])]
    last = (await ask(Chat(Likely(ids), tokens, LineFormat(), Gate(1, 1))))[-1]
    assert [score.text for score in last.scored] == ["a", "<|im_start|>", "b"]
    assert last.text == "ab"


@pytest.mark.parametrize("logprob", [-math.inf, math.nan, -1e30])
async def test_what_cannot_be_has_a_number_all_the_same(logprob: float) -> None:
    class Certain(Likely):
        async def generate(self, *_: Any) -> AsyncGenerator[list[int]]:
            yield [Scored(97, logprob, ((98, logprob),)), END]

    [*_, last] = await ask(chat_with(Certain([])))
    assert (last.scored[0].logprob, last.scored[0].top[0].logprob) == (-9999, -9999)


async def test_what_is_remembered_of_a_reply_are_plain_ids() -> None:
    chat = chat_with(Likely([97, 98]))
    await ask(chat)
    assert isinstance(chat.tokens, CharTokens)
    assert [type(id) for id in chat.tokens.remembered["ab"]] == [int, int]


def test_a_scored_id_is_an_id_and_goes_from_process_to_process() -> None:
    one = Scored(5, -0.5, ((5, -0.5), (7, -1.0)))
    again = pickle.loads(pickle.dumps([one]))[0]
    assert one == again == 5
    assert {one: 1}[5] == 1
    assert (again.logprob, again.top) == (-0.5, ((5, -0.5), (7, -1.0)))


@pytest.mark.parametrize(
    ("sampling", "name", "sentence"),
    [
        ({}, "logprobs", "Logprobs cannot be used with the engine that runs here."),
        ({"logprobs": False, "logit_bias": {97: 1.0}}, "logit_bias", "Logit bias cannot be used"),
    ],
)
async def test_an_engine_that_cannot_says_so(
    sampling: dict[str, Any], name: str, sentence: str
) -> None:
    engine = ScriptedEngine()
    with pytest.raises(BadRequest) as caught:
        await ask(chat_with(engine), **sampling)
    assert caught.value.field == name
    assert str(caught.value).startswith(sentence)
    engine.supports = frozenset({"logprobs"})
    with pytest.raises(BadRequest, match=r"^Top logprobs cannot be used"):
        await ask(chat_with(engine), top_logprobs=1)
    assert engine.prompts == []


async def test_a_bias_on_what_is_no_token_is_refused_and_costs_nothing() -> None:
    engine = Likely([97])
    chat = Chat(engine, TOKENS["chatml"], LineFormat(), Gate(1, 1))
    size = len(chatml_tokenizer())
    for id in (size, 2**32 - 1, 2**32, 9_999_999_999):
        with pytest.raises(BadRequest) as caught:
            await ask(chat, logit_bias={"5": 1, str(id): 1})
        assert caught.value.field == "logit_bias"
        assert str(caught.value) == f"Logit bias names {id}, which is no token here."
    assert engine.samplings == []
    await ask(chat, logit_bias={"0": -100, str(size - 1): 1})
    assert engine.samplings[0].logit_bias == {0: -100, size - 1: 1}
