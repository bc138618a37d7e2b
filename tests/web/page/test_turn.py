"""chat.web.page.turn: what comes of a message and its reply, whatever words tell of it."""

from dataclasses import replace
from typing import Any

import pytest

from chat.core import status
from chat.core.chat import Update
from chat.web.page.history import Thought, entry
from chat.web.page.turn import Outcome, Progress, Turn

HELLO = [entry("user", "Hello"), entry("assistant", "Hi")]
SENT = Turn("More?", HELLO, HELLO)
RETRIED = Turn("Hello", [], HELLO)
CONTINUED = Turn("Hello", [], HELLO, begun="Hi")
EDITED = Turn("Hallo", [], HELLO)


@pytest.fixture(params=["our words", "other words", "no words"], autouse=True)
def words(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Render each line in other words: nothing may depend on them."""
    said: dict[str, Any] = {
        "our words": None,
        "other words": lambda *_: "Finished: Cut off Writing…",
        "no words": lambda *_: "",
    }[request.param]
    for name in ("line", "stopped", "failed") if said else ():
        monkeypatch.setattr(status, name, said)


def after(turn: Turn, reply: Progress, *, seen: bool = False) -> Outcome:
    return replace(turn, reply=replace(reply)).outcome(seen=seen)


@pytest.mark.parametrize(
    "reply",
    [
        Progress(),
        Progress(Update("waiting", place=1)),
        Progress(Update("reading")),
        Progress(failure="No."),
        Progress(Update("reading"), "No."),
    ],
)
@pytest.mark.parametrize(("turn", "draft"), [(SENT, "More?"), (RETRIED, None), (EDITED, "Hallo")])
def test_without_an_answer_all_is_as_before_and_a_new_message_a_draft(
    turn: Turn, draft: str | None, reply: Progress
) -> None:
    assert after(turn, reply) == Outcome(HELLO, reply.line, draft, more=False)


@pytest.mark.parametrize("state", ["writing", "length", "finished"])
@pytest.mark.parametrize("failure", ["", "No."])
def test_an_answer_that_nobody_saw_is_none(state: Any, failure: str) -> None:
    reply = Progress(Update(state, "Yes"), failure)
    line = Progress(failure=failure).line
    assert after(SENT, reply) == Outcome(HELLO, line, "More?", more=False)


@pytest.mark.parametrize("state", ["writing", "finished"])
def test_what_has_come_of_it_stays_so_when_it_is_asked_once_more(state: Any) -> None:
    for seen in (True, False):
        turn = replace(SENT, reply=Progress(Update(state, text="Much")))
        assert turn.outcome(seen=seen) == turn.outcome(seen=False)


@pytest.mark.parametrize(
    ("reply", "more"),
    [
        (Progress(Update("writing", "Yes")), True),
        (Progress(Update("length", "Yes")), True),
        (Progress(Update("finished", "Yes")), False),
        (Progress(Update("writing", "Yes"), "No."), False),
    ],
)
@pytest.mark.parametrize("turn", [SENT, RETRIED, EDITED])
def test_an_answer_stays_and_goes_on_if_it_was_stopped_or_cut_off(
    turn: Turn, reply: Progress, more: bool
) -> None:
    said = [*turn.before, entry("user", turn.message), entry("assistant", "Yes")]
    assert after(turn, reply, seen=True) == Outcome(said, reply.line, None, more)


@pytest.mark.parametrize(
    "reply", [Progress(), Progress(Update("waiting")), Progress(failure="No.")]
)
def test_a_continuation_that_does_not_come_leaves_the_reply(reply: Progress) -> None:
    assert after(CONTINUED, reply, seen=True) == Outcome(HELLO, reply.line, None, more=False)


def test_a_finished_reply_may_be_empty() -> None:
    reply = Progress(Update("finished"))
    asked = [*HELLO, entry("user", "More?")]
    assert after(SENT, reply) == Outcome(asked, reply.line, None, more=False)


def test_blank_space_is_nothing_to_go_on_from() -> None:
    assert not after(SENT, Progress(Update("length", " \n"))).more


THINKING = Update("thinking", thought="Hm", thought_tokens=2, thought_seconds=1.0)


@pytest.mark.parametrize(
    ("update", "more"),
    [
        (THINKING, True),
        (replace(THINKING, state="length"), True),
        (replace(THINKING, state="finished"), False),
    ],
)
def test_a_thought_alone_stays_and_goes_on_if_it_was_stopped_or_cut_off(
    update: Update, more: bool
) -> None:
    said = [*HELLO, entry("user", "More?"), entry("assistant", "", Thought("Hm", 1.0, 2))]
    reply = Progress(update)
    assert after(SENT, reply, seen=True) == Outcome(said, reply.line, None, more)
    assert after(SENT, reply) == Outcome(HELLO, Progress().line, "More?", more=False)


def test_what_a_thought_took_before_is_added_to_what_its_rest_takes() -> None:
    turn = Turn("Hello", [], HELLO, thought=Thought("Hm", 1.0, 2))
    update = replace(THINKING, thought="Hm, so", state="finished", text="Yes")
    said = [entry("user", "Hello"), entry("assistant", "Yes", Thought("Hm, so", 2.0, 4))]
    assert after(turn, Progress(update), seen=True).history == said


@pytest.mark.parametrize(
    "reply", [Progress(), Progress(Update("waiting")), Progress(failure="No.")]
)
def test_a_continuation_that_does_not_come_leaves_the_thought(reply: Progress) -> None:
    thought = Thought("Hm", 1.0, 2)
    original = [entry("user", "Hello"), entry("assistant", "", thought)]
    turn = Turn("Hello", [], original, thought=thought)
    assert after(turn, reply, seen=True).history == original


def test_what_was_thought_before_stays_if_the_rest_of_the_reply_comes_without() -> None:
    turn = Turn("Hello", [], HELLO, begun="Hi", thought=Thought("Hm", 1.0, 2))
    history = after(turn, Progress(Update("finished", "Hi, you")), seen=True).history
    assert history[-1] == entry("assistant", "Hi, you", Thought("Hm", 1.0, 2))
