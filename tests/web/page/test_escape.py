"""chat.web.page.escape: HTML is shown as it was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.web.page.escape import MARK, escape, unescape

TAGS = ["<b>", "</b>", "<div class='x'>", "<!-- x -->", "<?php", "<think>", "<img src=x onerror=y>"]


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_is_marked_and_comes_back(tag: str) -> None:
    text = f"a {tag} b"
    assert escape(text) == f"a <{MARK}{tag[1:]} b"
    assert unescape(escape(text)) == text


@pytest.mark.parametrize("before", ["```", "~~~~ ", "> ```", "- ```\t"])
@pytest.mark.parametrize("name", ["mermaid", "Mermaid x"])
def test_a_diagram_is_marked_and_comes_back(before: str, name: str) -> None:
    text = f"{before}{name}\ngraph TD; A-->B\n"
    assert escape(text) == text.replace(before.rstrip(), f"{before.rstrip()}{MARK}")
    assert unescape(escape(text)) == text


@pytest.mark.parametrize(
    "text", ["a < b", "1<2", "<", "a <= b", "x <- y", "<3", "&lt;b>", "`mermaid`"]
)
def test_what_is_no_tag_stays(text: str) -> None:
    assert escape(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "```html\n<b>\n```",
        "````md\n```html\n<b>\n```\n<i>\n````",
        "~~~\n<b>\n\n<i>\n~~~",
        "```\n<b>",
        "- a\n  ```html\n  <b>\n    <i>\n  ```",
    ],
)
def test_code_between_fences_keeps_its_tags(text: str) -> None:
    assert escape(text) == text


@pytest.mark.parametrize(
    "before",
    [
        "```\n```",
        "```x`y\n",
        "~~~\n~~~`",
        "- a\n  ```\n  x",
        "  ```\nx\n```",
        "> ```\n> x\n```",
        "- ```\n  x\n  ```",
        "```\nx\n    ```\nx\n```",
        "    ```\n    x",
        "1. a\n\n    ```\n    x\n    ```",
        "$$\n```\n$$",
        "\\[\n```\n\\]",
        "so ```\nx",
        "```\nx\n```\t\nx\n```",
        "```\nx\n```\u00a0\nx\n```",
        "```\nx\n\t```\nx\n```",
        "```\n$$\n```\n$$\n```\n$$",
    ],
)
def test_where_it_may_be_no_code_a_tag_is_marked(before: str) -> None:
    assert escape(f"{before}\n<b>") == f"{before}\n<{MARK}b>"


def test_lines_end_where_a_renderer_ends_them() -> None:
    assert escape("```\r<b>\r\n```\r<b>") == f"```\n<b>\n```\n<{MARK}b>"


LINES = st.lists(
    st.sampled_from(["```", "~~~", "    ", "  ", "- ", "> ", "$$", "\n", "\n", "<b>", "x", "`"])
)


@given(LINES.map("".join))
def test_nothing_is_lost_whatever_is_unescape(text: str) -> None:
    assert unescape(escape(text)) == text
