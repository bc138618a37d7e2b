"""chat.web.guard: which addresses are open, and how much a request may weigh."""

import asyncio
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest
from gradio_client import Client
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from chat.core.shares import Account
from chat.settings import Settings
from chat.web import guard
from chat.web import serve as serving
from chat.web.api.body import MAX_BODY
from chat.web.guard import IMPORTS, MAX_IMPORT, Guard, is_open
from chat.web.page import page
from tests.conftest import Serve
from tests.conftest import serving as start_serving
from tests.support.fakes import ScriptedEngine, chat_with

#: What Gradio serves and a chat does not need. Whatever an upgrade adds belongs here, or
#: into `chat.web.guard.OPEN` if the page cannot do without it.
CLOSED = {
    "/openapi.json",
    "/svelte/x",
    "/pwa_icon",
    "/pwa_icon/x",
    "/monitoring",
    "/monitoring/summary",
    "/monitoring/x",
    "/gradio_api/api/x",
    "/gradio_api/component_server",
    "/gradio_api/custom_component/x/x/x/x",
    "/gradio_api/deep_link",
    "/gradio_api/dev/reload",
    "/gradio_api/file/x",
    "/gradio_api/file=x",
    "/gradio_api/login_check",
    "/gradio_api/openapi.json",
    "/gradio_api/process_recording",
    "/gradio_api/proxy=x",
    "/gradio_api/queue/status",
    "/gradio_api/runs",
    "/gradio_api/stream/x",
    "/gradio_api/stream/x/close",
    "/gradio_api/stream/x/x/x/playlist-file",
    "/gradio_api/stream/x/x/x/playlist.m3u8",
    "/gradio_api/stream/x/x/x/x.x",
    "/gradio_api/theme.css",
    "/gradio_api/token",
    "/gradio_api/undo-vibe-edit",
    "/gradio_api/upload",
    "/gradio_api/upload_progress",
    "/gradio_api/user",
    "/gradio_api/vibe-code",
    "/gradio_api/vibe-edit",
    "/gradio_api/vibe-starter-queries",
}


def addresses(routes: Iterable[Any]) -> Iterator[str]:
    """Yield an address of each route, and of each in the routers among them."""
    for route in routes:
        if included := getattr(route, "original_router", None):
            yield from addresses(included.routes)
        else:
            below = "/x" * isinstance(route, Mount)
            yield re.sub(r"\{[^}]*\}", "x", route.path) + below


def test_every_address_that_is_served_is_open_or_closed_by_name() -> None:
    settings = Settings()
    built = page.build(chat_with(ScriptedEngine()), settings)
    try:
        serving.launch(built, settings, block=False)
        served = {address.rstrip("/") or "/" for address in addresses(built.app.routes)}
    finally:
        built.close()
    open_ = set(filter(is_open, served))
    assert served - open_ == CLOSED
    assert {"/", "/v1/x", "/health", "/gradio_api/queue/join"} <= open_


@pytest.mark.parametrize("address", [*sorted(CLOSED), "/nowhere", "/gradio_api/", "/gradio_api/x"])
def test_what_a_chat_does_not_need_is_shut(opened: str, address: str) -> None:
    for method in ("GET", "POST"):
        answer = httpx.request(method, opened + address.removeprefix("/"))
        assert answer.status_code == 404
        assert "There is nothing here." in answer.text


@pytest.fixture(scope="module")
def opened() -> Iterator[str]:
    """One server for many requests."""
    with start_serving() as serve:
        yield serve(ScriptedEngine())


def test_programs_can_look_ask_and_cancel(serve: Serve) -> None:
    engine = ScriptedEngine(lambda prompt: "x" * 250, pace=0.02)
    url = serve(engine, auth="ann:secret")
    client = Client(url, auth=("ann", "secret"), verbose=False, analytics_enabled=False)
    assert "/chat" in client.view_api(return_format="dict")["named_endpoints"]
    job = client.submit("hi", api_name="/chat")
    next(iter(job))
    assert job.cancel()
    engine.script = lambda prompt: "Yes."
    assert client.predict("hi", api_name="/chat")[0] == "Yes."


def test_it_can_stand_behind_a_proxy_that_adds_a_prefix(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_ROOT_PATH", "/a")
    url = serve(ScriptedEngine())
    for path in ("config", "a/config", "assets/none", "a", "a/", ""):
        assert httpx.get(url + path).text != "There is nothing here."
    for path in ("a/monitoring", "monitoring", "ab/config"):
        assert httpx.get(url + path).text == "There is nothing here."


@pytest.mark.parametrize("variable", ["CHAT_ROOT_PATH", "GRADIO_ROOT_PATH"])
def test_the_api_is_there_with_the_prefix_and_without(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "/a")
    url = serve(ScriptedEngine())
    for path in ("a/v1/models", "v1/models", "a/health", "health"):
        assert httpx.get(url + path).status_code == 200


def test_a_request_that_weighs_too_much_is_refused_before_it_is_read_whole(serve: Serve) -> None:
    url = serve(ScriptedEngine())
    sent = 0

    def body() -> object:
        nonlocal sent
        for _ in range(1000):
            sent += 100_000
            yield b"x" * 100_000

    answer = httpx.post(f"{url}gradio_api/queue/join", content=body())
    sentence = f"The limit is {MAX_BODY:,} bytes."
    assert (answer.status_code, answer.json()) == (413, {"error": sentence})
    large = b"x" * (MAX_BODY + 1)
    openais = httpx.post(f"{url}v1/chat/completions", content=large).json()
    anthropics = httpx.post(f"{url}v1/messages", content=large).json()
    assert openais["error"]["message"] == anthropics["error"]["message"] == sentence
    assert anthropics["error"]["type"] == "request_too_large"


def test_a_request_just_within_the_limit_is_passed_on_whole(serve: Serve) -> None:
    url = serve(ScriptedEngine())
    answer = httpx.post(f"{url}gradio_api/queue/join", content=b"{" + b" " * (MAX_BODY - 1))
    assert answer.status_code == 422  # read, and not JSON


@pytest.mark.parametrize("address", IMPORTS)
def test_what_somebody_imports_may_weigh_more_up_to_a_limit(serve: Serve, address: str) -> None:
    url = serve(ScriptedEngine()).rstrip("/")
    for size, status in ((MAX_BODY + 1, 422), (MAX_IMPORT, 422), (MAX_IMPORT + 1, 413)):
        answer = httpx.post(url + address, content=b"{" + b" " * (size - 1))
        assert answer.status_code == status  # read, and not JSON
    assert answer.json() == {"error": f"The limit is {MAX_IMPORT:,} bytes."}


def test_where_there_is_a_login_strangers_hold_nothing_for_long(serve: Serve) -> None:
    url = serve(ScriptedEngine(), auth="ann:secret")
    for answer in (
        httpx.get(f"{url}gradio_api/heartbeat/x"),
        *(httpx.post(url.rstrip("/") + one, content=b"{" + b" " * MAX_BODY) for one in IMPORTS),
    ):
        assert answer.status_code == 401
        assert "Your login has ended." in answer.text
    with httpx.Client() as ann:
        ann.post(f"{url}login", data={"username": "ann", "password": "secret"})
        with ann.stream("GET", f"{url}gradio_api/heartbeat/x") as answer:
            assert answer.status_code == 200


async def test_all_requests_that_are_not_whole_yet_are_bounded_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard, "IN_ALL", 3)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    guarded, some = Guard(app), [Importing() for _ in range(4)]
    async with asyncio.TaskGroup() as group:
        for number, one in enumerate(some):
            group.create_task(one.through(guarded, str(number), "/v1/chat/completions"))
            await one.begun.wait()
        while not some[3].answers:
            await asyncio.sleep(0)
        monkeypatch.setattr(guard, "IN_ALL", 10)
        for one in some:
            one.go_on.set()
    assert [one.answers[0]["status"] for one in some] == [200, 200, 200, 503]


class Importing:
    """One who imports: sends a body in two parts, and waits before the second."""

    def __init__(self) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.answers: list[Message] = []

    async def receive(self) -> Message:
        if self.begun.is_set():
            await self.go_on.wait()
            return {"type": "http.request", "body": b"b"}
        self.begun.set()
        return {"type": "http.request", "body": b"a", "more_body": True}

    async def send(self, message: Message) -> None:
        self.answers.append(message)

    async def through(self, guarded: Guard, whose: str = "", path: str = IMPORTS[0]) -> None:
        visitor = (Account(whose),) if whose else ()
        scope = {"type": "http", "path": path, "visitor": visitor}
        await guarded(scope, self.receive, self.send)


def test_one_import_at_a_time_is_held_in_memory() -> None:
    bodies = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        bodies.append((await receive())["body"])

    async def two() -> None:
        guarded, first, second = Guard(app), Importing(), Importing()
        async with asyncio.TaskGroup() as group:
            group.create_task(first.through(guarded))
            await first.begun.wait()
            group.create_task(second.through(guarded))
            for _ in range(10):
                await asyncio.sleep(0)
            assert not second.begun.is_set()
            second.go_on.set()
            first.go_on.set()
        assert bodies == [b"ab", b"ab"]

    asyncio.run(two())


def test_one_that_comes_slowly_keeps_nobody_else_waiting() -> None:
    bodies = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        bodies.append((await receive())["body"])

    async def three() -> None:
        guarded, first, again, other = Guard(app), Importing(), Importing(), Importing()
        again.go_on.set()
        other.go_on.set()
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(first.through(guarded, "slow"))
            await first.begun.wait()
            same = group.create_task(again.through(guarded, "slow"))
            await other.through(guarded, "quick")
            assert bodies == [b"ab"]
            assert not same.done()
            assert not again.begun.is_set()
            first.go_on.set()
        assert bodies == [b"ab"] * 3

    asyncio.run(three())


class Fetching(Importing):
    """One who fetches the answer, at once or when they are told to."""

    def __init__(self, *, slow: bool) -> None:
        super().__init__()
        self.go_on.set()
        self.fetch, self.fetched = asyncio.Event(), asyncio.Event()
        if not slow:
            self.fetch.set()

    async def send(self, message: Message) -> None:
        await self.fetch.wait()
        self.fetched.set()


def test_files_are_read_one_at_a_time_and_a_slow_reader_of_the_answer_is_alone() -> None:
    reading, most = 0, 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        await asyncio.sleep(0)
        reading -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def several() -> None:
        guarded, people = Guard(app), [Fetching(slow=number == 0) for number in range(4)]
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            for number, one in enumerate(people):
                group.create_task(one.through(guarded, f"number {number}"))
            for one in people[1:]:
                await one.fetched.wait()
            people[0].fetch.set()
        assert most == 1

    asyncio.run(several())


def test_an_import_that_never_comes_does_not_keep_others_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard, "PATIENCE", 0.05)
    bodies = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        bodies.append((await receive())["body"])

    async def two() -> None:
        guarded, first, second = Guard(app), Importing(), Importing()
        second.go_on.set()
        async with asyncio.timeout(10):
            await asyncio.gather(first.through(guarded), second.through(guarded))
        assert bodies == [b"ab"]
        head, body = first.answers
        assert (head["status"], json.loads(body["body"])) == (503, {"error": guard.LATE})
        assert second.answers == []

    asyncio.run(two())


async def test_what_one_sends_at_once_has_a_limit_and_others_have_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard, "AT_ONCE", 2)
    bodies = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        bodies.append((await receive())["body"])

    guarded = Guard(app)
    one, other, third, again = Importing(), Importing(), Importing(), Importing()
    slow = [asyncio.create_task(who.through(guarded, "many", "/")) for who in (one, other)]
    await asyncio.gather(one.begun.wait(), other.begun.wait())
    await asyncio.sleep(0)
    third.go_on.set()
    await third.through(guarded, "many", "/")
    assert third.answers[0]["status"] == 429
    again.go_on.set()
    await again.through(guarded, "somebody else", "/")
    assert bodies == [b"ab"]
    other.go_on.set()
    await slow[1]
    assert other.answers[0]["status"] == 429  # two bytes more than the one that has come
    one.go_on.set()
    await slow[0]
    assert bodies == [b"ab"] * 2
