"""chat.web.visitors.sessions: they end."""

from types import SimpleNamespace

import pytest

from chat.web.visitors import sessions as module
from chat.web.visitors.sessions import MOST, lasting


def test_a_session_ends_so_many_seconds_after_its_login(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    sessions = lasting(60, {"a": "ann"})
    clock[0] += 30
    sessions["b"] = "ben"
    clock[0] += 29
    assert (sessions.get("a"), sessions.get("b"), sessions.get(None)) == ("ann", "ben", None)
    clock[0] += 1
    assert (sessions.get("a"), sessions.get("b")) == (None, "ben")
    clock[0] += 30
    assert sessions.get("b") is None
    assert len(sessions) == 0


def test_of_too_many_sessions_the_first_end() -> None:
    sessions = lasting(60, {})
    for number in range(MOST + 1):
        sessions[str(number)] = "ann"
    assert (len(sessions), sessions.get("0"), sessions.get(str(MOST))) == (MOST, None, "ann")
    del sessions["1"]
    assert sessions.get("1") is None
