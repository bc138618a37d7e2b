"""chat.core.thinking and chat.core.reply: what is thought is kept apart from what is said."""

import itertools
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from chat.core.chat import Chat, Update
from chat.core.conversation import rebuild
from chat.core.sampling import Sampling
from chat.errors import BadRequest
from prompts import Control
from prompts.marks import FAMILIES, Marks, tag
from tests.support.fakes import CharTokens, LineFormat, ScriptedEngine, chat_with
from tests.support.thinkers import tokenizer
from tests.support.tools import speaking

THINK = tag("think")
COHERE = next(one for one in FAMILIES if "START_THINKING" in one.begin)


class Tied(ScriptedEngine):
    """One that can hold replies to something."""

    supports = frozenset({"regex", "choices", "json_schema", "logprobs", "negative_prompt"})


def says(
    *replies: str | Callable[[str], str], marks: Marks | None = THINK, kind: Any = Tied
) -> tuple[Chat, ScriptedEngine]:
    """Return a chat whose engine says these, one after another."""
    left = itertools.chain(replies, itertools.repeat("?"))

    def script(prompt: str) -> str:
        reply = next(left)
        return reply if isinstance(reply, str) else reply(prompt)

    format = LineFormat()
    format.thoughts = marks
    engine = kind(script)
    return chat_with(engine, format=format), engine


async def updates_of(
    chat: Chat, *, begun: str = "", thought: str = "", **sampling: Any
) -> list[Update]:
    asked = rebuild([], "hi", "", begun, thought)
    async with aclosing(chat.reply(asked, Sampling(**sampling))) as updates:
        return [update async for update in updates]


async def test_a_thought_is_no_part_of_the_reply_and_both_grow() -> None:
    chat, engine = says("<think>\nThey greet.\n</think>\n\nHello!")
    engine.pace = 0.01
    updates = await updates_of(chat)
    last = updates[-1]
    assert (last.thought, last.text, last.state) == ("They greet.", "Hello!", "finished")
    assert last.tokens == len("<think>\nThey greet.\n</think>\n\nHello!")
    assert last.thought_tokens == len("\nThey greet.\n")
    states = [state for state, _ in itertools.groupby(update.state for update in updates)]
    assert states == ["reading", "thinking", "writing", "finished"]
    for one, other in itertools.pairwise(updates):
        assert other.thought.startswith(one.thought)
        assert other.text.startswith(one.text)


async def test_a_stop_string_after_a_mark_that_is_only_named_ends_the_reply_all_the_same() -> None:
    chat, _ = says("The tag <think> opens.\nUser: x")
    last = (await updates_of(chat, stop=("\nUser:",)))[-1]
    assert (last.text, last.thought) == ("The tag <think> opens.", "")


async def test_what_is_there_already_begins_no_mark() -> None:
    chat, _ = says(" 5 then")
    updates = await updates_of(chat, begun="if a <")
    assert (updates[0].text, updates[-1].text) == ("if a <", "if a < 5 then")


async def test_what_may_begin_the_end_of_a_thought_is_there_once() -> None:
    chat, _ = says("<think>a <")
    last = (await updates_of(chat, thinking_budget=50))[-1]
    assert (last.thought, last.tokens) == ("a <", len("<think>a <"))
    assert last.state == "finished"


async def test_a_thought_takes_its_time_until_the_reply_begins() -> None:
    chat, engine = says("<think>abc</think>defgh")
    engine.pace = 0.02
    updates = await updates_of(chat)
    thinking = [update for update in updates if update.state == "thinking"]
    times = [update.thought_seconds for update in thinking]
    assert times == sorted(times)
    last = updates[-1]
    assert times[-1] <= last.thought_seconds < last.seconds


async def test_of_several_thoughts_all_are_kept() -> None:
    chat, _ = says("<think>a</think>One\n<think>b</think>Two")
    last = (await updates_of(chat))[-1]
    assert (last.thought, last.text) == ("a\n\nb", "One\nTwo")


@pytest.mark.parametrize("reply", ["<think>\n\n</think>\n\nYes", "Yes"])
async def test_a_model_may_reply_without_a_thought(reply: str) -> None:
    chat, _ = says(reply)
    last = (await updates_of(chat))[-1]
    assert (last.thought, last.text) == ("", "Yes")
    assert last.thought_seconds == 0


async def test_a_thought_that_never_ends_is_no_reply() -> None:
    chat, _ = says("<think>on and on")
    last = (await updates_of(chat))[-1]
    assert (last.thought, last.text, last.state) == ("on and on", "", "finished")


async def test_the_length_limit_counts_what_is_thought() -> None:
    chat, _ = says("<think>on and on</think>Yes")
    last = (await updates_of(chat, max_new_tokens=12))[-1]
    assert (last.thought, last.text, last.state) == ("on an", "", "length")


async def test_a_model_without_thoughts_says_what_it_says() -> None:
    chat, _ = says("<think>a</think>b", marks=None)
    assert (await updates_of(chat))[-1].text == "<think>a</think>b"
    with pytest.raises(BadRequest, match="does not think") as caught:
        await updates_of(chat, thinking="on")
    assert caught.value.field == "thinking"


async def test_a_stop_string_ends_the_reply_and_not_the_thought() -> None:
    chat, _ = says("<think>a. b</think>c. d")
    last = (await updates_of(chat, stop=(".",)))[-1]
    assert (last.thought, last.text, last.stopped_by) == ("a. b", "c", ".")


async def test_log_probabilities_are_of_what_is_said() -> None:
    chat, _ = says("<think>ab</think>cd")
    last = (await updates_of(chat, logprobs=True))[-1]
    assert [score.text for score in last.scored] == ["c", "d"]


@pytest.mark.parametrize("tokens", [1, 5, 9])
async def test_after_its_budget_a_thought_is_ended_and_the_reply_begins(tokens: int) -> None:
    chat, engine = says("<think>123456789 and more", "Yes")
    updates = await updates_of(chat, thinking_budget=tokens)
    last = updates[-1]
    assert last.thought_tokens == tokens
    assert (last.thought, last.text) == ("123456789"[:tokens], "Yes")
    begun = "<think>" + "123456789"[:tokens] + "\n</think>\n\n"
    assert engine.prompts == ["user: hi\0assistant: ", f"user: hi\0assistant: {begun}"]
    assert last.tokens == len(begun) + len("Yes")


@pytest.mark.parametrize("budget", [4, 8, 100])
async def test_a_thought_that_ends_within_its_budget_is_left_alone(budget: int) -> None:
    chat, engine = says("<think>abc</think>Yes")
    last = (await updates_of(chat, thinking_budget=budget))[-1]
    assert (last.thought, last.text) == ("abc", "Yes")
    assert len(engine.prompts) == 1


async def test_what_only_looked_like_an_end_mark_counts_in_full() -> None:
    chat, _ = says("<think>abc</thin ice", "Yes")
    last = (await updates_of(chat, thinking_budget=5))[-1]
    assert (last.thought, last.text, last.thought_tokens) == ("abc</", "Yes", 5)


async def test_what_the_budget_leaves_of_the_length_is_for_the_reply() -> None:
    chat, engine = says("<think>123456789", "abcdefghij")
    last = (await updates_of(chat, thinking_budget=3, max_new_tokens=25, seed=5))[-1]
    left = 25 - len("<think>123\n</think>\n\n")
    assert (last.text, last.state) == ("abcdefghij"[:left], "length")
    assert [one.max_new_tokens for one in engine.samplings] == [25, left]
    assert [one.seed for one in engine.samplings] == [5, 5 + 25 - left], "other numbers are drawn"
    chat, _ = says("<think>123456789", "abc")
    last = (await updates_of(chat, thinking_budget=3, max_new_tokens=11))[-1]
    assert (last.text, last.state) == ("", "length")


class Halves(CharTokens):
    """With emoji in two tokens, their halves in UTF-16."""

    def __init__(self) -> None:
        super().__init__()
        self.half = ""

    def decoder(self, shown: Sequence[str] = ()) -> "Halves":
        return Halves()

    def push(self, ids: Iterable[int]) -> str:
        said = self.half + super().push(ids)
        self.half = said[-1:] if "\ud800" <= said[-1:] < "\udc00" else ""
        whole = said.removesuffix(self.half)
        return whole.encode("utf-16", "surrogatepass").decode("utf-16")


async def test_a_budget_that_ends_within_a_character_waits_for_the_rest() -> None:
    chat, _ = says("<think>a\ud83d\ude00b", "Yes")
    chat.tokens = Halves()
    last = (await updates_of(chat, thinking_budget=2))[-1]
    assert (last.thought, last.text, last.thought_tokens) == ("a😀", "Yes", 3)


@pytest.mark.parametrize("most", range(8, 30))
async def test_what_is_written_for_the_model_is_within_the_length_too(most: int) -> None:
    chat, engine = says("<think>123456789", "abcdefghij")
    last = (await updates_of(chat, thinking_budget=1, max_new_tokens=most))[-1]
    assert (last.tokens, last.state) == (most, "length")
    assert all(sampling.max_new_tokens for sampling in engine.samplings)


async def test_a_budget_holds_for_a_thought_that_the_prompt_begins() -> None:
    chat, engine = says("123456", "Yes")
    chat.format = Opening()
    last = (await updates_of(chat, thinking_budget=3))[-1]
    assert (last.thought, last.text, last.thought_tokens) == ("123", "Yes", 3)
    assert engine.prompts[1].endswith("<think>\n123\n</think>\n\n")


async def test_a_grammar_holds_the_reply_and_not_the_thought() -> None:
    chat, engine = says("<think>abc</think>\n\nNo", "Yes")
    last = (await updates_of(chat, choices=("Yes", "Never"), min_new_tokens=3))[-1]
    assert (last.thought, last.text, last.thought_tokens) == ("abc", "Yes", 3)
    assert [one.choices for one in engine.samplings] == [(), ("Yes", "Never")]
    assert engine.samplings[0].min_new_tokens == 0
    # As it writes by itself between the two.
    assert engine.prompts[1].endswith("<think>abc</think>\n\n")


async def test_a_grammar_holds_the_whole_reply_without_a_thought() -> None:
    chat, engine = says("No thanks", "Yes")
    last = (await updates_of(chat, regex="Yes"))[-1]
    assert (last.thought, last.text, last.tokens) == ("", "Yes", 3)
    assert engine.prompts[0] == engine.prompts[1]
    chat, engine = says("", "Yes")
    assert (await updates_of(chat, regex="Yes"))[-1].text == "Yes"


async def test_a_grammar_holds_what_follows_a_thought_that_was_left_open() -> None:
    chat, engine = says("<think>abc", "Yes")
    last = (await updates_of(chat, regex="Yes"))[-1]
    assert (last.thought, last.text) == ("abc", "Yes")
    assert engine.prompts[1].endswith("<think>abc\n</think>\n\n")


async def test_a_grammar_and_a_budget_go_together() -> None:
    chat, engine = says("<think>abcdef", "Yes")
    last = (await updates_of(chat, regex="Yes", thinking_budget=2))[-1]
    assert (last.thought, last.text) == ("ab", "Yes")
    assert [one.regex for one in engine.samplings] == ["", "Yes"]


@pytest.mark.parametrize("reply", ["<|START_RESPONSE|>No", "No"])
async def test_where_a_reply_has_a_mark_a_grammar_comes_after_it(reply: str) -> None:
    chat, engine = says(reply, "Yes", marks=COHERE)
    last = (await updates_of(chat, regex="Yes"))[-1]
    assert last.text == "Yes"
    assert engine.prompts[1].endswith("<|START_RESPONSE|>")


async def test_what_may_become_an_end_mark_counts_where_the_length_ends_it() -> None:
    chat, _ = says("<think>abc</think>Yes")
    last = (await updates_of(chat, thinking_budget=100, max_new_tokens=13))[-1]
    assert (last.thought, last.state, last.tokens) == ("abc</t", "length", 13)


async def test_what_has_to_fit_is_asked_for_where_white_space_takes_all_of_the_length() -> None:
    chat, engine = says("\n\n\n\n", "Yes")
    last = (await updates_of(chat, regex="Yes", max_new_tokens=3))[-1]
    assert (last.text, last.tokens) == ("Yes", 3)
    assert engine.prompts[0] == engine.prompts[1]


async def test_the_prompt_to_keep_away_from_is_continued_too() -> None:
    chat, engine = says("<think>abcdef", "Yes")
    negatives = []
    generate = engine.generate

    def watched(prompt: Any, sampling: Any, negative: Any = (), session: str = "") -> Any:
        negatives.append("".join(map(chr, negative)))
        return generate(prompt, sampling, negative)

    engine.generate = watched  # type: ignore[method-assign]
    await updates_of(chat, thinking_budget=2, negative_prompt="Be rude.")
    assert negatives[1] == negatives[0] + "<think>ab\n</think>\n\n"


async def test_a_thought_that_was_cut_goes_on() -> None:
    chat, engine = says("def</think>Yes")
    updates = await updates_of(chat, thought="abc")
    assert engine.prompts[0].endswith("assistant: <think>\nabc")
    assert updates[0].thought == "abc"
    assert (updates[-1].thought, updates[-1].text) == ("abcdef", "Yes")
    assert updates[-1].thought_tokens == 3


async def test_a_reply_that_was_cut_goes_on_after_its_thought() -> None:
    chat, engine = says("!")
    updates = await updates_of(chat, thought="abc", begun="Yes")
    assert engine.prompts[0].endswith("assistant: <think>\nabc\n</think>\n\nYes")
    assert (updates[-1].thought, updates[-1].text) == ("abc", "Yes!")


class Opening(LineFormat):
    """One that leaves a thought open, as many templates do."""

    thoughts = THINK

    def pieces(self, messages: Any) -> Any:
        return [*super().pieces(messages), Control("<think>\n")]


async def test_a_thought_that_the_prompt_begins_is_one() -> None:
    chat, engine = says("abc</think>Yes")
    chat.format = Opening()
    last = (await updates_of(chat))[-1]
    assert (last.thought, last.text, last.thought_tokens) == ("abc", "Yes", 3)
    chat, engine = says("d</think>Yes", "!")
    chat.format = Opening()
    assert (await updates_of(chat, thought="abc"))[-1].thought == "abcd"
    assert engine.prompts[0].endswith("assistant: <think>\nabc")
    last = (await updates_of(chat, thought="abc", begun="Yes"))[-1]
    assert (last.thought, last.text) == ("abc", "Yes!")


@pytest.mark.parametrize(
    ("format", "ends"),
    [(Opening, "<think>\n\n</think>\n\n"), (LineFormat, "<think>\n\n</think>\n\n")],
)
async def test_without_a_switch_of_its_own_a_prompt_ends_the_thought(
    format: Any, ends: str
) -> None:
    chat, engine = says("Yes")
    chat.format = format()
    chat.format.thoughts = THINK
    last = (await updates_of(chat, thinking="off", thinking_budget=1, regex="Yes"))[-1]
    assert (last.thought, last.text) == ("", "Yes")
    assert engine.prompts == [f"user: hi\0assistant: {ends}"]


async def test_of_a_reply_with_a_thought_the_ids_of_what_it_says_are_remembered() -> None:
    chat, _ = says("<think>\nabc\n</think>\n\nYes")
    await updates_of(chat)
    assert isinstance(chat.tokens, CharTokens)
    assert chat.tokens.remembered == {"Yes": list(map(ord, "Yes"))}


@pytest.mark.parametrize("seen", [3, 12, 20])
async def test_closing_a_reply_in_mid_thought_ends_the_generation(seen: int) -> None:
    chat, engine = says("<think>abcdefghij</think>k", "l")
    engine.pace = 0.001
    asked = rebuild([], "hi", "")
    async with aclosing(chat.reply(asked, Sampling(thinking_budget=5))) as updates:
        async for update in updates:
            if update.tokens >= seen:
                break
    assert engine.active == 0


async def test_a_thought_in_the_history_is_given_to_the_format() -> None:
    history = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "reasoning_content": "c"},
    ]
    assert rebuild(history, "d", "").messages[1].thought == "c"
    stopped = [{"role": "user", "content": "a"}, {"role": "assistant", "reasoning_content": "c"}]
    found = rebuild(stopped, "d", "")
    assert [message.role for message in found.messages] == ["user", "assistant", "user"]


async def test_the_next_prompt_has_the_ids_that_were_generated_and_no_thought() -> None:
    """So the prefix cache holds all up to the thought, and the reply is read as it was written."""
    made = tokenizer("qwen3")
    odd = [made.convert_tokens_to_ids(letter) for letter in "Hello"]
    ids = made("<think>\nabc\n</think>\n\n", add_special_tokens=False)["input_ids"]
    chat = speaking(made, lambda prompt: "")

    async def generate(*_: Any) -> AsyncGenerator[list[int]]:
        yield [*ids, *odd]

    chat.engine.generate = generate  # type: ignore[method-assign, assignment]
    async with aclosing(chat.reply(rebuild([], "Hi", ""), Sampling())) as updates:
        last = [update async for update in updates][-1]
    assert (last.thought, last.text) == ("abc", "Hello")
    history = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello", "reasoning_content": "abc"},
    ]
    first = await chat.prompt(rebuild([], "Hi", ""))
    second = await chat.prompt(rebuild(history, "Again", ""))
    assert second[: len(first) + len(odd)] == [*first, *odd]
    assert made("Hello", add_special_tokens=False)["input_ids"] != odd


async def test_a_reply_that_begins_within_a_token_is_read_anew() -> None:
    made = tokenizer("qwen3")
    ids = made("<think>\nabc\n</think> the the", add_special_tokens=False)["input_ids"]
    assert made.decode(ids[-1:]) == " the"
    chat = speaking(made, lambda prompt: "")

    async def generate(*_: Any) -> AsyncGenerator[list[int]]:
        yield ids

    chat.engine.generate = generate  # type: ignore[method-assign, assignment]
    async with aclosing(chat.reply(rebuild([], "Hi", ""), Sampling())) as updates:
        assert [update async for update in updates][-1].text == "the the"
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "the the"}]
    prompt = await chat.prompt(rebuild(history, "Again", ""))
    assert "assistant\nthe the<|im_end|>" in chat.tokens.show(prompt)
