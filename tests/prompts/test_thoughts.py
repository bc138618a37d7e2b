"""prompts.thoughts: what of a reply is thought, and what is said."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompts.marks import FAMILIES, RESPONSE, Marks, recognised, tag
from prompts.thoughts import Parts, parts

THINK = tag("think")


def taken_apart(reply: str, marks: Marks = THINK, *, finished: bool = True) -> tuple[str, str]:
    found = parts(reply, marks, finished=finished)
    thought, said = (
        "|".join(reply[a:b] for a, b in spans if b > a) for spans in (found.thoughts, found.said)
    )
    return thought, said


@pytest.mark.parametrize(
    ("reply", "thought", "said"),
    [
        ("Hello", "", "Hello"),
        ("<think>a</think>b", "a", "b"),
        ("\n <think>\na\n</think>\n\nb", "\na\n", "\n |\n\nb"),
        ("<think></think>b", "", "b"),
        ("<think>a", "a", ""),
        ("<think>a</think>b<think>c</think>d", "a|c", "b|d"),
        ("<think>a</think>b\n<think>c", "a|c", "b\n"),
        ("<think>a <think> b</think>c", "a <think> b", "c"),
        ("a </think> b", "", "a </think> b"),
        ("<Think>a</Think>", "", "<Think>a</Think>"),
    ],
)
def test_a_thought_stands_between_its_marks(reply: str, thought: str, said: str) -> None:
    assert taken_apart(reply) == (thought, said)


@pytest.mark.parametrize(
    "reply",
    [
        "```html\n<think>a</think>\n```\nb",
        "See:\n~~~\n<think>\n~~~",
        "It writes `<think>a</think>` first.",
        "It writes `<think>`, and then `</think>`.",
        "The tag <think> is never closed here.",
    ],
)
def test_marks_in_code_or_in_the_middle_of_a_line_are_text(reply: str) -> None:
    assert taken_apart(reply) == ("", reply)


def test_tags_around_a_reply_are_none_of_it_and_in_code_they_are() -> None:
    """As Granite has them, to which they are no tokens."""
    code = "```xml\n<response>\n  <ok/>\n</response>\n```\nSee `<response>`."
    marks = tag("think", RESPONSE)
    reply = f"<think>a</think><response>So:\n{code}</response>"
    assert taken_apart(reply, marks) == ("a", f"So:\n{code}")
    assert taken_apart(code, marks) == ("", code)


@pytest.mark.parametrize(
    "said", ['{"a": "<think>', '{"a": "\\\\\\"<think>', '["", "\\<think>', '"<think>']
)
def test_marks_in_a_string_of_json_are_text(said: str) -> None:
    assert taken_apart(said, finished=False) == ("", said)


@pytest.mark.parametrize(
    "said", ['{"a": ""<think>', '{"a": "\\\\"<think>', '{"a": "\n<think>', 'a "<think>']
)
def test_after_a_string_of_json_marks_count_again(said: str) -> None:
    line = said.partition("<think>")[0]
    assert taken_apart(said + "b</think>") == ("b", line)


@pytest.mark.parametrize(
    "reply",
    [
        "`<think>` " * 20_000,
        "```\n" + "<think>\n" * 20_000,
        '{"a": "' + '\\"<think>' * 20_000,
        "<think>a</think>b\n" * 20_000,
    ],
)
def test_a_reply_full_of_marks_takes_no_time(reply: str) -> None:
    start = time.process_time()
    parts(reply, THINK, finished=False)
    assert time.process_time() - start < 3


def test_after_code_marks_count_again() -> None:
    reply = "`<think>` is\n```\n<think>\n```\n<think>a</think>b"
    assert taken_apart(reply) == ("a", "`<think>` is\n```\n<think>\n```\n|b")


@pytest.mark.parametrize(
    ("reply", "thought", "said"),
    [
        ("<thi", "", ""),
        ("<think>a</th", "a", ""),
        ("<think>a</think>b <thi", "a", "b "),
        ("A <think>b", "", "A "),
        ("A <b", "", "A <b"),
    ],
)
def test_what_may_become_a_mark_is_held_back(reply: str, thought: str, said: str) -> None:
    assert taken_apart(reply, finished=False) == (thought, said)


def test_it_is_told_whether_there_is_a_thought_and_whether_it_has_ended() -> None:
    def look(reply: str) -> tuple[bool, bool]:
        found = parts(reply, THINK, finished=False)
        return found.begun, found.thinking

    assert [look(one) for one in ("", " <thi", "<think>", "<think>a</think>", "b")] == [
        (False, False),
        (False, False),
        (True, True),
        (True, False),
        (True, False),
    ]


def test_without_marks_all_is_said() -> None:
    assert parts("<think>a", None, finished=False) == Parts(said=((0, 8),), begun=True)  # type: ignore[arg-type]


HARMONY = next(one for one in FAMILIES if "analysis" in one.begin)


def of(written: str) -> Marks:
    found = recognised(written)
    assert found
    return found


COHERE = next(one for one in FAMILIES if "START_THINKING" in one.begin)


@pytest.mark.parametrize(
    ("marks", "reply", "thought", "said"),
    [
        (
            HARMONY,
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b",
            "a",
            "b",
        ),
        (
            HARMONY,
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary"
            "<|message|>b<|end|><|start|>assistant<|channel|>analysis<|message|>c<|end|>"
            "<|start|>assistant<|channel|>final<|message|>d",
            "a|c",
            "b|d",
        ),
        (HARMONY, "<|channel|>final<|message|>b", "", "b"),
        (
            COHERE,
            "<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b<|END_RESPONSE|>",
            "a",
            "b",
        ),
        (COHERE, "<|START_THINKING|>a<|END_THINKING|><|START_TEXT|>b<|END_TEXT|>", "a", "b"),
        (COHERE, "<|END_THINKING|><|START_RESPONSE|>b<|END_RESPONSE|>", "", "b"),
        (FAMILIES[0], "[THINK]a[/THINK]b", "a", "b"),
        (
            of("<|open|> <|sep|> <|close|>"),
            "<|open|>think<|sep|>a<|close|>think<|sep|>"
            "<|open|>response<|sep|>b<|close|>response<|sep|><|close|>message<|sep|>",
            "a",
            "b",
        ),
        (
            of("<|message|> <|eom|>"),
            " to=self<|message|>a<|eom|><|start|>assistant to=user<|message|>b",
            "a",
            "b",
        ),
        (
            of("[BEGIN FINAL RESPONSE]"),
            "Here are my reasoning steps:\na\n[BEGIN FINAL RESPONSE]\nb",
            "\na\n",
            "\nb",
        ),
        (
            next(one for one in FAMILIES if "thought" in one.begin),
            "<|channel>thought\na\n<channel|>b",
            "\na\n",
            "b",
        ),
    ],
)
def test_every_family_has_marks_of_its_own(
    marks: Marks, reply: str, thought: str, said: str
) -> None:
    assert taken_apart(reply, marks) == (thought, said)
    for end in range(len(reply)):
        early_thought, early_said = taken_apart(reply[:end], marks, finished=False)
        assert thought.startswith(early_thought)
        assert said.startswith(early_said)


@pytest.mark.parametrize("finished", [False, True])
def test_a_thought_between_two_parts_of_a_reply_is_one_before_it_has_ended(finished: bool) -> None:
    reply = "<|channel|>commentary<|message|>a<|end|><|start|>assistant"
    reply += "<|channel|>analysis<|message|>b"
    assert taken_apart(reply, HARMONY, finished=finished) == ("b", "a")


PIECES = st.lists(
    st.sampled_from(
        ["<think>", "</think>", "<thi", "nk>", "\n", "```", "`", "a", " b ", "</", "<", "~~~\n"]
    ),
    max_size=14,
).map("".join)


@given(PIECES)
def test_every_letter_is_thought_said_or_a_mark_and_in_order(reply: str) -> None:
    found = parts(reply, THINK, finished=True)
    spans = sorted([*found.thoughts, *found.said])
    assert all(a.end <= b.start for a, b in pairwise(spans))
    left, at = "", 0
    for start, end in spans:
        left += reply[at:start]
        at = end
    left += reply[at:]
    assert not left.replace("<think>", "").replace("</think>", "")


@given(PIECES)
def test_nothing_that_was_shown_is_taken_back(reply: str) -> None:
    before = ("", "")
    for end in range(len(reply) + 1):
        finished = end == len(reply)
        found = parts(reply[:end], THINK, finished=finished)
        now = tuple("".join(reply[a:b] for a, b in one) for one in (found.thoughts, found.said))
        assert all(b.startswith(a) for a, b in zip(before, now, strict=True))
        before = now
