"""chat.core.attached: texts that come with a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.core.attached import Attached, block, split
from chat.core.title import first_words
from prompts import Message


def joined(blocks: list[str], message: str) -> str:
    """Return a message with files as a page sends it."""
    return "\n\n".join([*blocks, *filter(None, [message])])


TEXTS = st.text(st.sampled_from("a`\n ~File: "), max_size=30)


@given(st.lists(TEXTS, max_size=3), st.text(st.sampled_from("ab \n"), max_size=9))
def test_what_is_joined_is_split_again(texts: list[str], said: str) -> None:
    files = [Attached("a.md (1 token)", block("a.md (1 token)", text, "md")) for text in texts]
    message = joined([file.block for file in files], said)
    assert split(message) == (files, said)


def test_a_block_is_code_of_its_kind_and_can_hold_any() -> None:
    made = block("a.md (9 tokens)", "```\nx\n```\n````y", "md")
    assert made == "File: a.md (9 tokens)\n`````md\n```\nx\n```\n````y\n`````"


@pytest.mark.parametrize(
    "message",
    ["File: a\nb", "File: a\n```\nb", "a\nFile: b\n```\nc\n```", "File: a\n```\nb\n```c", "", "a"],
)
def test_what_is_no_block_is_what_the_person_says(message: str) -> None:
    assert split(message) == ([], message)


def test_many_beginnings_of_blocks_take_no_time() -> None:
    message = "File: a\n```\n" * 50_000
    assert split(message) == ([], message)


def test_a_conversation_is_called_by_what_is_said_or_else_by_its_files() -> None:
    file = block("a.csv (1 token)", "b", "csv")
    assert first_words([Message("user", joined([file], "Sum it up."))]) == "Sum it up."
    assert first_words([Message("user", file)]) == "a.csv (1 token)"
