"""chat.web.visitors.visitor: who asks, and whose share it is."""

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from starlette.types import Message, Receive, Scope, Send

from chat.core.shares import Limits, Visitor, asking
from chat.settings import Settings
from chat.settings.serving import KEY_FILE
from chat.web import health
from chat.web.visitors.scope import logged_in
from chat.web.visitors.visitor import FEWEST, Visitors, known_proxies, limits
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine

#: Of nobody on the Internet, and of no private network either (RFC 5737).
SOMEBODYS = "203.0.113.7"
SECRET = "a secret of thirty-two characters"


class Door:
    """Asks and notes who that was."""

    def __init__(self, places: int = 40, **settings: Any) -> None:
        self._visitors = Visitors(self._app, Settings(**settings), places)
        self.seen: list[Visitor] = []
        self.cookies: list[str] = []
        self.status = 0
        self.held = asyncio.Event()
        self.held.set()

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(asking.get())
        await self.held.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def ask(self, address: str | None, path: str = "/", **headers: str) -> Visitor:
        async def receive() -> Message:
            raise AssertionError

        async def send(message: Message) -> None:
            self.status = message.get("status", self.status)
            given = message.get("headers", ()) if "status" in message else ()
            self.cookies = [value.decode() for name, value in given if name == b"set-cookie"]

        written = [
            (name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()
        ]
        client = (address, 1) if address is not None else None
        scope = {"type": "http", "path": path, "client": client, "headers": written}
        await self._visitors(scope, receive, send)
        return self.seen[-1]

    @property
    def cookie(self) -> str:
        """What a browser sends back, over HTTP."""
        return self.cookies[1].partition(";")[0]


def names(visitor: Visitor) -> list[str]:
    return [account.name for account in visitor]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
async def test_who_sits_at_the_machine_is_not_counted(address: str) -> None:
    door = Door()
    assert await door.ask(address) == ()
    assert door.cookies == []


@pytest.mark.parametrize(
    ("settings", "headers"), [({"share": True}, {}), ({}, {"x_forwarded_for": "127.0.0.1"})]
)
async def test_who_comes_from_there_by_a_share_link_or_a_proxy_is(
    settings: dict[str, Any], headers: dict[str, str]
) -> None:
    assert names(await Door(**settings).ask("127.0.0.1", **headers)) == ["without:127.0.0.1"]


async def test_on_a_space_everybody_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "a/b")
    assert names(await Door().ask("127.0.0.1")) == ["without:127.0.0.1"]
    assert "10.0.0.0/8" in known_proxies(Settings())


async def test_a_visitor_is_counted_with_their_address() -> None:
    door = Door()
    assert names(await door.ask(SOMEBODYS)) == [f"address:{SOMEBODYS}", f"without:{SOMEBODYS}"]
    whole, one = await door.ask(SOMEBODYS, cookie=door.cookie)
    assert whole.name == f"address:{SOMEBODYS}"
    assert one.name.startswith("visitor:")
    assert door.cookies == []  # it has one


@pytest.mark.parametrize(("places", "shares"), [(None, True), (3, True), (0, False)])
async def test_both_leave_room_for_others_unless_there_are_no_limits(
    places: int | None, shares: bool
) -> None:
    visitor = await Door(visitor_places=places).ask(SOMEBODYS)
    assert [account.shares for account in visitor] == [shares, shares]


async def test_who_throws_cookies_away_or_collects_them_has_no_more_than_their_address() -> None:
    door = Door()
    seen = set()
    for _ in range(50):
        seen.add(tuple(names(await door.ask(SOMEBODYS))))
        whole, _ = await door.ask(SOMEBODYS, cookie=door.cookie)
        assert (whole.name, whole.limits.places) == (f"address:{SOMEBODYS}", 20)
    assert len(seen) == 1


@pytest.mark.parametrize(
    "address",
    ["10.1.2.3", "172.17.0.1", "192.168.1.5", "100.64.1.1", "169.254.1.1", "fd00::1", "fe80::1%e"],
)
async def test_behind_a_private_address_there_may_be_many_who_are_told_apart_by_cookies(
    address: str,
) -> None:
    door = Door()
    people = set()
    for _ in range(5):
        assert len(await door.ask(address)) == 1
        people.add(*names(await door.ask(address, cookie=door.cookie)))
    assert len(people) == 5


@pytest.mark.parametrize("address", [None, "", "unix:", "a\nb" * 1000, "[::1", "1.2.3.4.5"])
async def test_what_is_no_address_is_a_visitor_all_the_same(address: str | None) -> None:
    (visitor,) = await Door().ask(address)
    assert len(visitor.name) < 100


async def test_of_ipv6_a_network_is_one_address() -> None:
    door = Door()
    one = await door.ask("2a00:1:2:3::1")
    assert await door.ask("2a00:1:2:3:ffff::9") == one
    assert await door.ask("2a00:1:2:4::1") != one
    assert await door.ask("::ffff:203.0.113.7") == await door.ask(SOMEBODYS)


async def test_a_cookie_is_only_ours_if_it_is_sealed(tmp_path: Path) -> None:
    door = Door(data_dir=tmp_path / "one")
    await door.ask(SOMEBODYS)
    name, _, value = door.cookie.partition("=")
    id, _, seal = value.partition(".")
    for forged in (id, f"{id}.", f"x.{seal}", f".{seal}", f"{id}.{seal[:-1]}", f"{id}.é", "é"):
        visitor = await door.ask(SOMEBODYS, cookie=f"{name}={forged}")
        assert names(visitor)[-1] == f"without:{SOMEBODYS}"
    other = await Door(data_dir=tmp_path / "other").ask(SOMEBODYS, cookie=door.cookie)
    assert names(other)[-1].startswith("without:")


async def test_pages_with_the_same_secret_know_each_others_cookies() -> None:
    one, other = Door(conversations_key=SECRET), Door(conversations_key=SECRET)
    await one.ask(SOMEBODYS)
    assert names(await other.ask(SOMEBODYS, cookie=one.cookie))[-1].startswith("visitor:")


async def test_the_cookie_is_for_the_page_alone_and_for_no_script() -> None:
    door = Door()
    await door.ask(SOMEBODYS)
    assert len(door.cookies) == 2
    assert all("; HttpOnly" in cookie and "Path=/" in cookie for cookie in door.cookies)
    assert "; Secure; SameSite=None" in door.cookies[0]
    assert "; SameSite=Lax" in door.cookies[1]
    for path in ("/v1/chat/completions", "/health", "/gradio_api/queue/join"):
        await door.ask(SOMEBODYS, path)
        assert door.cookies == []


async def test_one_address_cannot_have_all_requests_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.web.visitors.visitor.OPEN", 3)
    door = Door()
    door.held = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(door.ask(SOMEBODYS, "/gradio_api/heartbeat/x"))
        await asyncio.sleep(0)
        assert len(door.seen) == 3
        for path in ("/v1/chat/completions", "/"):
            await door.ask(SOMEBODYS, path)
        assert (len(door.seen), door.status) == (3, 429)
        door.held.set()
        await door.ask("203.0.113.8")
        for path in health.PATHS:
            await door.ask(SOMEBODYS, path)
        assert (len(door.seen), door.status) == (6, 200)
    await door.ask(SOMEBODYS)
    assert door.status == 200


async def test_who_has_no_cookie_yet_gets_one_however_much_others_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Behind a private address all of them are one visitor: without a cookie nobody gets in."""
    monkeypatch.setattr("chat.web.visitors.visitor.OPEN", 3)
    door = Door()
    door.held = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(door.ask("10.1.2.3", "/gradio_api/heartbeat/x"))
        await asyncio.sleep(0)
        await door.ask("10.1.2.3", "/gradio_api/heartbeat/x")
        assert (len(door.seen), door.status) == (3, 429)
        door.held.set()
        await door.ask("10.1.2.3", "/")
        assert (len(door.cookies), door.status) == (2, 200)


async def test_after_a_restart_a_cookie_is_known(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_bytes(b"a key that is kept")
    before, after = Door(data_dir=tmp_path), Door(data_dir=tmp_path)
    await before.ask(SOMEBODYS)
    assert names(await after.ask(SOMEBODYS, cookie=before.cookie))[-1].startswith("visitor:")


def test_at_the_machine_itself_a_login_is_not_counted() -> None:
    assert logged_in((), "ann") == ()


async def test_a_login_has_the_share_of_a_visitor() -> None:
    visitor = await Door().ask(SOMEBODYS)
    (account,) = logged_in(visitor, "ann")
    assert (account.name, account.limits) == ("login:ann", visitor[-1].limits)
    assert logged_in(visitor, None) == visitor


@pytest.mark.parametrize(
    ("places", "settings", "address", "visitor"),
    [
        (40, {}, Limits(20, 240, 2_000_000), Limits(10, 60, 500_000)),
        (1, {}, Limits(2, 240, 2_000_000), Limits(FEWEST, 60, 500_000)),
        (
            40,
            {"visitor_places": 30, "visitor_requests": 5, "visitor_tokens": 7},
            Limits(30, 20, 28),
            Limits(30, 5, 7),
        ),
        (
            40,
            {"visitor_places": 0, "visitor_requests": 0, "visitor_tokens": 0},
            Limits(),
            Limits(),
        ),
    ],
)
def test_what_is_not_set_suits_the_server(
    places: int, settings: dict[str, int], address: Limits, visitor: Limits
) -> None:
    assert limits(Settings(**settings), places) == (address, visitor)


def test_an_address_is_believed_from_known_proxies_alone(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those to the left of the first that is not known, anybody can have written."""
    url = serve(
        ScriptedEngine(lambda prompt: "Yes."), trusted_proxies="198.51.100.0/24", visitor_requests=1
    )

    def ask(forwarded: str) -> int:
        headers = {"X-Forwarded-For": forwarded}
        body = {"messages": [{"role": "user", "content": "Hi"}]}
        return httpx.post(f"{url}v1/chat/completions", json=body, headers=headers).status_code

    assert ask(SOMEBODYS) == 200
    assert ask(SOMEBODYS) == 429
    assert ask(f"203.0.113.99, {SOMEBODYS}") == 429  # made up
    assert ask(f"{SOMEBODYS}, 198.51.100.3") == 429
    assert ask("203.0.113.8, 198.51.100.3") == 200
    assert ask(f"203.0.113.9, {SOMEBODYS}, 203.0.113.10") == 200  # no known proxy told of it


@pytest.mark.parametrize("address", ["/v1/chat/completions", "/v1/messages", "/v1/completions"])
def test_a_program_that_asks_too_often_is_told_when_it_may_again(
    serve: Serve, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve(ScriptedEngine(lambda prompt: "Yes."), visitor_requests=1).rstrip("/")
    headers = {"X-Forwarded-For": SOMEBODYS}
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
    if address == "/v1/completions":
        body = {"prompt": "Hi"}

    bad = httpx.post(url + address, json={**body, "temperature": -1}, headers=headers)
    assert bad.status_code == 400
    assert bad.headers["x-ratelimit-remaining-requests"] == "1"  # it has cost nothing
    first = httpx.post(url + address, json=body, headers=headers)
    assert first.status_code == 200
    assert first.headers["x-ratelimit-limit-requests"] == "1"
    assert first.headers["x-ratelimit-remaining-requests"] == "0"
    assert re.fullmatch("[0-9]+s", first.headers["x-ratelimit-reset-requests"])
    second = httpx.post(url + address, json=body, headers=headers)
    assert second.status_code == 429
    assert 1 <= int(second.headers["retry-after"]) <= 60
    error = second.json()["error"]
    assert "1 request a minute" in error["message"]
    kinds = {"/v1/messages": "rate_limit_error"}
    assert error["type"] == kinds.get(address, "requests")
    assert httpx.get(f"{url}/health", headers=headers).status_code == 200
    assert httpx.post(url + address, json=body).status_code == 200  # from the machine itself


def test_counting_and_tokenizing_are_requests_too(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve(ScriptedEngine(), visitor_requests=3).rstrip("/")
    messages = [{"role": "user", "content": "Hi"}]
    asked = [
        ("/v1/messages/count_tokens", {"messages": messages}),
        ("/tokenize", {"prompt": "Hi"}),
        ("/v1/detokenize", {"tokens": [65]}),
        ("/v1/tokenize", {"messages": messages}),
    ]
    headers = {"X-Forwarded-For": SOMEBODYS}
    found = [httpx.post(url + path, json=body, headers=headers) for path, body in asked]
    assert [answer.status_code for answer in found] == [200, 200, 200, 429]


def test_gradios_clients_are_told_too_and_others_are_answered(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve(ScriptedEngine(lambda prompt: "Yes."), visitor_requests=2).rstrip("/")

    def client(address: str) -> Client:
        headers = {"X-Forwarded-For": address}
        return Client(url, headers=headers, verbose=False, analytics_enabled=False)

    one, other = client(SOMEBODYS), client("203.0.113.8")
    try:
        for _ in range(2):
            assert one.predict("Hi", api_name="/chat")[0] == "Yes."
        with pytest.raises(AppError, match="You may send 2 requests a minute"):
            one.predict("Hi", api_name="/chat")
        assert other.predict("Hi", api_name="/chat")[0] == "Yes."
    finally:
        one.close()
        other.close()


async def test_one_who_means_harm_leaves_places_to_all_others(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With as many cookies as they like, and from many networks of one machine at once."""
    engine = ScriptedEngine(lambda prompt: "x" * 2000, pace=0.05)
    url = serve(engine, max_waiting=15)  # and one is being answered
    body = {"messages": [{"role": "user", "content": "Hi"}]}

    async with httpx.AsyncClient(base_url=url, timeout=60) as client:

        async def cookie(address: str) -> dict[str, str]:
            headers = {"X-Forwarded-For": address}
            given = await client.get("config", headers=headers)
            client.cookies.clear()
            sent = "; ".join(f"{name}={value}" for name, value in given.cookies.items())
            return {**headers, "Cookie": sent}

        async def ask(headers: dict[str, str]) -> int:
            async with client.stream(
                "POST", "v1/chat/completions", json={**body, "stream": True}, headers=headers
            ) as answer:
                statuses.append(answer.status_code)
                if answer.status_code == 200:
                    await asyncio.Event().wait()  # and never reads it
                return answer.status_code

        statuses: list[int] = []
        evil = [await cookie(SOMEBODYS) for _ in range(10)]
        evil += [{"X-Forwarded-For": f"2a00:1:2:3::{number}"} for number in range(10)]
        tasks = [asyncio.create_task(ask(headers)) for headers in evil for _ in range(3)]
        async with asyncio.timeout(30):
            while len(statuses) < len(tasks):
                await asyncio.sleep(0.01)
        # Half of all places for the one address, and a quarter for who has no cookie.
        assert statuses.count(200) == 8 + 4
        others = [asyncio.create_task(ask(await cookie(f"203.0.113.{one}"))) for one in (8, 9)]
        async with asyncio.timeout(30):
            while len(statuses) < len(tasks) + len(others):
                await asyncio.sleep(0.01)
        assert statuses[-2:] == [200, 200]
        for task in [*tasks, *others]:
            task.cancel()
        await asyncio.gather(*tasks, *others, return_exceptions=True)
