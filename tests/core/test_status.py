"""chat.core.status: the last line under the chat."""

from typing import Any

import pytest

from chat.core import status
from chat.core.chat import Update


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        (Update("waiting", place=1), "Waiting: 1 person is ahead of you…"),
        (Update("waiting", place=3), "Waiting: 3 people are ahead of you…"),
        (Update("reading", prompt_tokens=1234), "Reading 1,234 tokens…"),
        (
            Update("reading", prompt_tokens=1234, queued=True),
            "Waiting: the model's server answers others first…",
        ),
        (Update("writing", "Hi", tokens=1), "Writing: 1 token…"),
        (Update("writing", "Hi", tokens=21, seconds=2.0), "Writing: 21 tokens, 10.0 tokens/s…"),
        (
            Update("thinking", thought="Hm", tokens=21, seconds=2.0, thought_tokens=20),
            "Thinking: 21 tokens, 10.0 tokens/s…",
        ),
        (Update("finished", "Hi", tokens=21, seconds=2.0), "Finished: 21 tokens, 10.0 tokens/s"),
        (Update("finished", "Hi", tokens=5, seconds=0.0), "Finished: 5 tokens"),
        (Update("finished"), "Finished: 0 tokens"),
        (
            Update("length", "Hi", tokens=5, seconds=8.0),
            "Cut off at the length limit: 5 tokens, 0.5 tokens/s",
        ),
    ],
)
def test_the_line_tells_what_is_happening_or_happened(update: Update, expected: str) -> None:
    assert status.line(update) == expected


@pytest.mark.parametrize("state", ["reading", "thinking", "writing", "finished", "length"])
@pytest.mark.parametrize(
    ("dropped", "notice"), [(1, "its oldest turn is left"), (3, "its oldest 3 turns are left")]
)
def test_the_line_says_that_turns_were_left_out(state: str, dropped: int, notice: str) -> None:
    update = Update(state, dropped_turns=dropped)  # type: ignore[arg-type]
    assert notice in status.line(update)
    assert notice in status.stopped(update)


STATES = ["waiting", "reading", "thinking", "writing", "finished", "length"]


@pytest.mark.parametrize("state", STATES)
def test_only_a_reply_on_its_way_is_changed_by_a_stop(state: str) -> None:
    update = Update(state, place=1)  # type: ignore[arg-type]
    live = state in ("waiting", "reading", "thinking", "writing")
    assert ("…" in status.line(update)) == live
    assert (status.stopped(update) != status.line(update)) == live
    assert "…" not in status.stopped(update)


@pytest.mark.parametrize("state", ["thinking", "writing"])
def test_a_stopped_reply_keeps_its_figures(state: Any) -> None:
    last = Update(state, "Hi", tokens=21, seconds=2.0)
    assert status.stopped(last) == "Stopped: 21 tokens, 10.0 tokens/s"


@pytest.mark.parametrize("last", [None, Update("waiting", place=2), Update("reading")])
def test_a_reply_stopped_before_the_first_word_says_so(last: Update | None) -> None:
    assert status.stopped(last) == "Stopped before the first word"


def test_an_error_is_shown_as_it_is() -> None:
    assert status.failed("The queue is full.") == "Failed: The queue is full."
