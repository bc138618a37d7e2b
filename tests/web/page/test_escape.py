"""chat.web.page.escape: text is shown as it was written, and comes back so."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.web.page.escape import ESCAPED, MARK, escape, unescape, verbatim

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


@pytest.mark.parametrize("text", ["a < b", "1<2", "<", "a <= b", "x <- y", "<3", "`mermaid`"])
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


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("每天2~3次，连续5~7天", "每天2~|3次，连续5~|7天"),
        ("~5 or ~6, not ~~7~~ ~ 8", "~|5 or ~|6, not ~~7~~ ~ 8"),
        ("&lt;b&gt; &copy; &#65; &#x41;", "&|lt;b&|gt; &|copy; &|#65; &|#x41;"),
        ("AT&T, a && b; Q&A", "AT&T, a && b; Q&A"),
        ("2*3*4 = 24, 2**3**4, 2x*3*y", "2*|3*|4 = 24, 2**|3**|4, 2x*|3*|y"),
        ("**1** of *a*b*c*, pho**to**graphy", "**1** of *a*b*c*, pho**to**graphy"),
    ],
)
def test_markdown_does_not_change_what_a_reply_says(text: str, marked: str) -> None:
    assert escape(text) == marked.replace("|", MARK)


@pytest.mark.parametrize(
    "text",
    [
        "https://x.org/~a?b=1&amp;c=2 http://x.org/~b",
        "[one](/~a?b=1&amp;c) [two](https://x.org/~b)",
        r"\(a~b &lt; c\) \[a~b\] $$2*3*4~5~6$$",
    ],
)
def test_addresses_and_formulas_hold_no_marks(text: str) -> None:
    assert escape(text) == text


def test_only_html_matters_more_than_an_address_or_a_formula() -> None:
    for text in (r"\(<b>\)", "$$<b>$$", "[a](<b>)", "https://x.org/<b>"):
        assert escape(text) == text.replace("<", f"<{MARK}")


@pytest.mark.parametrize(
    "text",
    ["Hello, what's up? It's 5 < 6 (50%), for $5!", "2025 was - I think - #1", "你好，世界", "C#"],
)
def test_a_message_in_which_nothing_is_meant_stays_readable(text: str) -> None:
    assert verbatim(text.replace("<", "&lt;")).count("&#00") == text.count("<")


TYPED = ["__init__", "*args", "# comment", "3. is my answer", "a*b*c", r"C:\new\_temp", "&lt;b&gt;"]
TYPED += ["---", "    code", "- a", "+ b", "> c", "| a |\n| - |\n| b |", "[a](b)", "![a](b)", "`x`"]
TYPED += ["$$x$$", r"\(x\)", r"\[x\]", "%%%LATEX_BLOCK_0%%%", "```mermaid\nx\n```", "~~~\nx\n~~~"]
TYPED += [
    "a\n===",
    "a\n\n\nb",
    "  a  b  ",
    "a  \nb",
    "\tx",
    "http://a.b",
    "www.a.b",
    "a@b.c",
    "a~b~c",
]


@pytest.mark.parametrize("text", TYPED)
def test_a_message_is_one_line_of_which_nothing_is_markup(text: str) -> None:
    shown = verbatim(text)
    assert unescape(shown) == text
    left = re.sub(ESCAPED, "…", shown)
    assert not re.search(r"[\\`*_~<&\[@\n\t]|\$\$|%%%|://|www\.|^[ #>+-]|^\d+[.)]| $", left)


def test_an_address_is_not_completed_in_code_either() -> None:
    text = '```html\n<img src="/files/a.png">\n```'
    assert escape(text) == text.replace("=", f"={MARK}")
    assert verbatim('src="/file') == 'src&#0061;"/file'


def test_what_looks_like_an_escape_comes_back_as_well() -> None:
    for text in (f"<{MARK}b", f"```{MARK}{MARK}mermaid", f"={MARK}", "&#0042;", f"&{MARK}#0042;"):
        for change in (escape, verbatim):
            for inside in (text, f"```\n{text}\n```"):
                assert unescape(change(inside)) == inside


LINES = st.lists(
    st.sampled_from(["```", "~~~", "    ", "  ", "- ", "> ", "$$", "\n", "\n", "<b>", "x", "`"])
)
ANY = st.text(st.one_of(st.sampled_from(f"<&~*`=#0042;{MARK}\n \\[]()$%x"), st.characters()))


@given(LINES.map("".join))
def test_nothing_is_lost_whatever_is_unescape(text: str) -> None:
    assert unescape(escape(text)) == text


@given(ANY)
def test_every_text_comes_back(text: str) -> None:
    assert unescape(verbatim(text)) == text
    # A renderer ends lines at "\n" only, and so does all that people and models say.
    text = text.replace("\r", "")
    assert unescape(escape(text)) == text
