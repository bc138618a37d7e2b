"""chat.core.reply: what is shown of a reply, and remembered of it."""

from collections.abc import Iterable, Sequence
from contextlib import aclosing
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.core.chat import Chat
from chat.core.gate import Gate
from chat.core.reply import tidy
from chat.core.tokens import Decoder
from prompts import PromptFormat
from prompts.formats.plain import Plain
from tests.support.fakes import CharTokens, LineFormat, ScriptedEngine, chat_with
from tests.support.replies import STOP, BatchEngine, ask, collect


async def test_stray_white_space_never_shows() -> None:
    updates = await collect(ask(chat_with(BatchEngine(" ", "\n Hi ", f"there \n{STOP}"))))
    assert [update.text for update in updates] == ["", "", "Hi", "Hi there", "Hi there"]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (" Hello", "Hello"),
        ("\n\n  \nHello \n\n", "Hello"),
        ("    indented()\n  less", "    indented()\n  less"),
        ("\n    indented()", "    indented()"),
        ("- one\n  - two\n\n    three", "- one\n  - two\n\n    three"),
        (" \n\t ", ""),
        ("", ""),
    ],
)
def test_what_is_stray_around_a_reply_is_stripped_and_nothing_inside(
    written: str, shown: str
) -> None:
    assert tidy(written) == shown


TEXTS = st.text(st.sampled_from(" \n\t\r\u3000ab-"), max_size=12) | st.text()


@settings(deadline=None)
@given(TEXTS)
def test_a_reply_shown_so_far_only_ever_grows(text: str) -> None:
    shown = [tidy(text[:length]) for length in range(len(text) + 1)]
    assert all(after.startswith(before) for before, after in pairwise(shown))


@settings(deadline=None)
@given(TEXTS, TEXTS, TEXTS)
def test_tidying_touches_only_the_ends(before: str, inside: str, after: str) -> None:
    text = f"{before}x{inside}y{after}"
    shown = tidy(text)
    assert shown == shown.rstrip()
    assert f"x{inside}y" in shown
    head = text.rstrip().removesuffix(shown)
    assert not head.strip()
    assert not head or head.endswith("\n") or head.rpartition("\n")[2] == " "


def chat_remembering(engine: ScriptedEngine, format: PromptFormat) -> tuple[Chat, CharTokens]:
    tokens = CharTokens()
    return Chat(engine, tokens, format, Gate(1, 0)), tokens


async def test_the_ids_of_a_reply_are_remembered_by_what_it_showed() -> None:
    chat, tokens = chat_remembering(BatchEngine(" Hel", f"lo {STOP}"), LineFormat())
    await collect(ask(chat))
    assert tokens.remembered == {"Hello": [ord(letter) for letter in " Hello "]}


async def test_a_stopped_reply_is_remembered_as_far_as_it_was_shown() -> None:
    chat, tokens = chat_remembering(BatchEngine("Hel", "lo"), LineFormat())
    async with aclosing(ask(chat)) as updates:
        async for update in updates:
            if update.text:
                break
    assert tokens.remembered == {"Hel": [ord(letter) for letter in "Hel"]}


class HalfTokens(CharTokens):
    """Of which some stand for a part of a character, as those of byte-level tokenizers do."""

    def decoder(self, shown: Sequence[str] = ()) -> Decoder:
        whole = super().decoder(shown)

        class Halves:
            def push(self, ids: Iterable[int]) -> str:
                return "".join("" if id == ord("~") else whole.push([id]) for id in ids)

        return Halves()


async def test_with_a_part_of_a_character_at_its_end_its_ids_are_not_remembered() -> None:
    """Nobody sees it, and a later prompt would have it."""
    tokens = HalfTokens()
    for said in ("Hello~~", "He~llo"):
        await collect(ask(Chat(BatchEngine(said), tokens, LineFormat(), Gate(1, 0))))
    assert tokens.remembered == {"Hello": [ord(letter) for letter in "He~llo"]}


@pytest.mark.parametrize(("echo", "opening"), [(True, "A story that"), (False, "")])
async def test_a_base_model_continues_the_text_to_the_letter(echo: bool, opening: str) -> None:
    engine = BatchEngine(" makes", f" me \n{STOP}")
    chat, tokens = chat_remembering(engine, Plain(echo=echo))
    updates = await collect(ask(chat, "A story that"))
    assert engine.prompts == ["A story that"]
    assert updates[-1].text == opening + " makes me \n"
    assert list(tokens.remembered) == [" makes me \n"]


async def test_a_reply_ends_before_its_stop_string_which_is_never_shown() -> None:
    engine = ScriptedEngine(lambda _: "one two STOP three", pace=0.001)
    replies = ask(chat_with(engine), "Hi", stop=("STOP",), max_new_tokens=50)
    shown = [update async for update in replies]
    assert not any("S" in update.text for update in shown)
    assert shown[-1].text == "one two"
    assert shown[-1].state == "finished"
    assert [update.stopped_by for update in shown if update.stopped_by] == ["STOP"]
    assert engine.active == 0


async def test_what_only_looked_like_a_stop_string_is_shown_at_the_end() -> None:
    engine = ScriptedEngine(lambda _: "one two ST")
    replies = ask(chat_with(engine), "Hi", stop=("STOP",), max_new_tokens=50)
    last = [update async for update in replies][-1]
    assert (last.text, last.stopped_by) == ("one two ST", "")
