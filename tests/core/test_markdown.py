"""chat.core.markdown: a conversation to read, whose structure no message breaks."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from chat.core.markdown import is_written, write
from prompts import Message
from tests.support.examples import some

TALK = [Message("system", "Rhyme."), Message("user", "A poem?"), Message("assistant", "Drops.")]


def headings(text: str) -> list[tuple[str, str]]:
    """Return the headings of the first and second level that a reader sees."""
    tokens = MarkdownIt().parse(text)
    return [
        (token.tag, tokens[place + 1].content)
        for place, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag in ("h1", "h2")
    ]


def test_a_conversation_has_a_title_and_its_roles_as_headings() -> None:
    text = write("Rain", TALK)
    assert text == (
        "# Rain\n\n## System\n\nRhyme.\n\n## User\n\nA poem?\n\n## Assistant\n\nDrops.\n"
    )
    assert is_written(text)
    assert write(" Two\nlines ", []).startswith("# Two lines\n")


@pytest.mark.parametrize(
    "text",
    [
        "__init__ *args a*b*c",
        "C:\\new\\_temp &lt;b&gt; <b>",
        "#hashtag and a # in the middle",
        "```python\n# a comment\n## another\nx = 1\n```",
        "~~~\n# a comment\n```\n# still\n~~~",
        "    # indented code",
        "1. one\n2. two\n\n- a\n---\nb",
        "a\n\n---\n\nb",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "日本 🙂 עברית",
        "> a\n---",
        "***\n===",
        "  leading space",
    ],
)
def test_a_text_without_headings_stays_to_the_letter(text: str) -> None:
    written = write("T", [Message("user", text), Message("assistant", text)])
    assert written == f"# T\n\n## User\n\n{text}\n\n## Assistant\n\n{text}\n"


@pytest.mark.parametrize(
    ("text", "below"),
    [
        ("# Plan", "### Plan"),
        ("## Plan ##", "#### Plan ##"),
        ("   # Plan", "### Plan"),
        ("##### Plan", "###### Plan"),
        ("###### Plan", "###### Plan"),
        ("#", "###"),
        ("Plan\n===", "### Plan"),
        ("Plan\n---\nx", "#### Plan\nx"),
        ("a\n```\n# x", "a\n```\n# x\n```"),
        ("a\n~~~~ py\n```\n# x\n", "a\n~~~~ py\n```\n# x\n\n~~~~"),
        ("```\n```\n-", "```\n```\n-"),
        ("- a\nb\n---", "- a\nb\n---"),
        ("a\n    b\n---", "a\n#### b"),
        ("````\n```\n# x\n````\n# y", "````\n```\n# x\n````\n### y"),
    ],
)
def test_headings_come_below_the_roles_and_open_code_is_closed(text: str, below: str) -> None:
    written = write("T", [Message("user", text), Message("assistant", "b")])
    assert written == f"# T\n\n## User\n\n{below}\n\n## Assistant\n\nb\n"


LINES = ["# a", "## b", "###### c", "```", "````", "~~~", "```py", "===", "---", "text", "", "- x"]
LINES += ["    code", "> quote", "  # d", "#", "`` a ``", "1. y", "***", "-", "= =", "```a`", "\tq"]


@settings(deadline=None, max_examples=some(150))
@given(st.lists(st.sampled_from(LINES), max_size=8).map("\n".join))
def test_no_message_breaks_the_structure(text: str) -> None:
    written = write("T", [Message("user", text), Message("assistant", "b")])
    assert headings(written)[:2] == [("h1", "T"), ("h2", "User")]
    assert headings(written)[-1] == ("h2", "Assistant")
    assert len(headings(written)) == 3


def test_a_thought_is_a_quote_before_its_reply() -> None:
    reply = Message("assistant", "Drops.", thought="# Hm\n\n```\nx")
    assert write("T", [reply]) == (
        "# T\n\n## Assistant\n\n> **Thought**\n>\n> ### Hm\n>\n> ```\n> x\n> ```\n\nDrops.\n"
    )
    assert write("T", [reply._replace(content="")]).endswith("> ```\n")


@settings(deadline=None, max_examples=some(60))
@given(st.lists(st.sampled_from(LINES), max_size=8).map("\n".join))
def test_no_thought_ends_its_quote_or_breaks_the_structure(text: str) -> None:
    written = write("T", [Message("assistant", "b", thought=text or "x")])
    assert headings(written) == [("h1", "T"), ("h2", "Assistant")]
    outside = [token for token in MarkdownIt().parse(written) if token.level == 0]
    quote = ["blockquote_open", "blockquote_close"]
    heading, paragraph = ([f"{kind}_open", f"{kind}_close"] for kind in ("heading", "paragraph"))
    assert [token.type for token in outside] == [*heading, *heading, *quote, *paragraph]
    assert written.endswith("\n\nb\n")


@pytest.mark.parametrize(
    "text", ["", "# Title", "# Title\n\nText", "## User\n", "x\n# T\n\n## User\n"]
)
def test_other_markdown_is_not_ours(text: str) -> None:
    assert not is_written(text)


def test_every_role_is_recognised() -> None:
    for message in TALK:
        assert is_written(write("T", [message]))
    assert not re.search("Fourbit", write("T", TALK)), "it says nothing of its own"
