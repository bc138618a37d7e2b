"""chat.web.visitors.login, and the page that asks for one: guessing gets slower."""

from types import SimpleNamespace

import httpx
import pytest
from starlette.exceptions import HTTPException

from chat.core.shares import Account, asking
from chat.web.visitors import guesses, sessions
from chat.web.visitors.guesses import FORGET, MOST
from chat.web.visitors.login import OF_ADDRESS, OF_NAME, Logins
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine

Clock = list[float]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    now = [1000.0]
    for module in (guesses, sessions):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def come(logins: Logins, name: str, word: str, address: str = "") -> int:
    """Try to log in; returns 200, 400, or after how many seconds it may be tried again."""
    token = asking.set((Account(address),) if address else ())
    try:
        return 200 if logins(name, word) else 400
    except HTTPException as error:
        wait = error
    finally:
        asking.reset(token)
    seconds = int((wait.headers or {})["Retry-After"])
    assert (wait.status_code, f"in {seconds} second" in wait.detail) == (429, True)
    return seconds


def guess(logins: Logins, clock: Clock, times: int, address: str, name: str = "") -> list[int]:
    """Guess as soon as it is allowed; returns the waits."""
    waits = []
    for number in range(times):
        found = come(logins, name or f"name {number}", "wrong", address)
        if found != 400:
            waits.append(found)
            clock[0] += found
            assert come(logins, name or f"name {number}", "wrong", address) == 400
    return waits


def test_right_is_right_and_all_else_is_wrong() -> None:
    logins = Logins({"ann": "secret", "ben": "päss\x00word"})
    assert come(logins, "ann", "secret") == 200
    assert come(logins, "ben", "päss\x00word") == 200
    for name, word in (("ann", "päss\x00word"), ("ann", ""), ("", ""), ("eve", "?" * 32)):
        assert come(logins, name, word) == 400
    assert come(logins, "\ud800", "\ud800") == 400


def test_guesses_from_one_address_have_to_wait_longer_and_longer(clock: Clock) -> None:
    logins = Logins({"ann": "secret"})
    waits = guess(logins, clock, 20, "eve's")
    assert waits[:5] == [1, 2, 4, 8, 16]
    assert waits[-1] == OF_ADDRESS.longest
    # Even the right one, which else would tell.
    assert come(logins, "ann", "secret", "eve's") == OF_ADDRESS.longest
    assert come(logins, "ann", "secret", "ann's") == 200


def test_guesses_for_one_name_have_to_wait_wherever_they_come_from(clock: Clock) -> None:
    logins = Logins({"ann": "secret"})
    for number in range(OF_NAME.free):
        assert come(logins, "ann", "wrong", f"address {number}") == 400
    assert come(logins, "ann", "wrong", "another") == 1
    for number in range(20):
        clock[0] += OF_NAME.longest
        assert come(logins, "ann", "wrong", f"more {number}") == 400
    assert come(logins, "ann", "secret", "ann's") == OF_NAME.longest
    clock[0] += OF_NAME.longest
    assert come(logins, "ann", "secret", "ann's") == 200
    assert come(logins, "ann", "wrong", "ann's") == 400


def test_whether_a_name_exists_makes_no_difference(clock: Clock) -> None:
    there, not_there = Logins({"ann": "secret"}), Logins({"ann": "secret"})
    for number in range(30):
        address = f"address {number}"
        found = come(there, "ann", "wrong", address)
        assert found == come(not_there, "nobody", "wrong", address)
        clock[0] += 1


def test_who_can_log_in_does_not_win_more_guesses_by_it() -> None:
    logins = Logins({"ann": "secret", "eve": "word"})
    for number in range(OF_ADDRESS.free):
        assert come(logins, "eve", "word", "eve's") == 200
        assert come(logins, f"name {number}", "wrong", "eve's") == 400
    assert come(logins, "ann", "wrong", "eve's") == 1


def test_it_is_forgotten_after_an_hour(clock: Clock) -> None:
    logins = Logins({"ann": "secret"})
    assert guess(logins, clock, 8, "ann's", "ann")
    clock[0] += FORGET
    assert guess(logins, clock, OF_ADDRESS.free, "ann's", "ann") == []


def test_so_many_are_remembered_and_then_the_first_are_forgotten() -> None:
    logins = Logins({"ann": "secret"})
    for number in range(OF_ADDRESS.free):
        come(logins, f"name {number}", "wrong", "first")
    assert come(logins, "ann", "wrong", "first") == 1
    for number in range(MOST // 2):
        come(logins, f"{number}" + "x" * 1000, "wrong", f"address {number}")
    assert come(logins, "ann", "wrong", "first") == 400


def test_over_http_it_has_to_wait_and_the_session_ends(serve: Serve, clock: Clock) -> None:
    url = serve(ScriptedEngine(), auth="ann:secret", session_hours=1)
    right, wrong = ({"username": "ann", "password": word} for word in ("secret", "wrong"))
    with httpx.Client(base_url=url, headers={"X-Forwarded-For": "203.0.113.7"}) as client:
        for _ in range(OF_ADDRESS.free):
            answer = client.post("login", data=wrong)
            assert answer.status_code == 400
        answer = client.post("login", data=right)
        assert answer.status_code == 429
        assert answer.json()["detail"].startswith("There were too many wrong logins.")
        assert answer.headers["retry-after"] == "1"
        clock[0] += 1
        assert client.post("login", data=right).status_code == 200
        assert client.get("config").status_code == 200
        clock[0] += 3600
        assert client.get("config").status_code == 401
        assert client.post("login", data=right).status_code == 200
        assert client.get("config").status_code == 200


@pytest.mark.parametrize("query", ["", "?all_session=false"])
def test_a_logout_ends_the_session_on_the_server(serve: Serve, query: str, clock: Clock) -> None:
    url = serve(ScriptedEngine(), auth="ann:secret")
    with httpx.Client(base_url=url) as client:
        client.post("login", data={"username": "ann", "password": "secret"})
        kept = dict(client.cookies)
        assert client.get("config").status_code == 200
        client.post(f"logout{query}")
    with httpx.Client(base_url=url, cookies=kept) as thief:
        assert thief.get("config").status_code == 401


def test_the_page_that_asks_for_a_login_has_our_script_and_no_other(
    serve: Serve, clock: Clock
) -> None:
    url = serve(ScriptedEngine(), auth="ann:secret")
    tag = '<script src="login.js"></script>'
    with httpx.Client(base_url=url) as client:
        assert client.get("").text.count(tag) == 1
        script = client.get("login.js")
        assert script.headers["content-type"].startswith("text/javascript")
        assert "429" in script.text
        client.post("login", data={"username": "ann", "password": "secret"})
        assert tag not in client.get("").text
