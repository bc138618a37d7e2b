"""chat.web.headers: what browsers are told; tests/web/browser/test_policy.py sees it obeyed."""

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from chat.errors import SettingsError
from chat.settings import Settings, read
from chat.web.api.body import MAX_BODY
from chat.web.headers import Headers, frames
from chat.web.lobby import lobby
from chat.web.reverse_proxy import ReverseProxy
from tests.conftest import Serve, serving
from tests.support.backends import served
from tests.support.fakes import ScriptedEngine, chat_with
from tests.web.test_lobby import listen

KEY = {"api_key": "key"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as serve:
        yield serve(ScriptedEngine(), auth="ann:secret", **KEY)


def policy(answer: httpx.Response) -> dict[str, list[str]]:
    """Return the sources of each directive."""
    directives = answer.headers["Content-Security-Policy"].split("; ")
    return {name: sources for name, *sources in map(str.split, directives)}


def sure(answer: httpx.Response) -> bool:
    """Whether an answer says what every one says."""
    return (
        answer.headers.get("X-Content-Type-Options") == "nosniff"
        and answer.headers.get("Referrer-Policy") == "same-origin"
        and answer.headers.get("Cross-Origin-Resource-Policy") == "same-origin"
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "", 200),
        ("GET", "logout", 200),
        ("GET", "theme.css", 200),
        ("GET", "health", 200),
        ("GET", "config", 401),
        ("GET", "v1/models", 401),
        ("GET", "nowhere", 404),
        ("POST", "v1/messages", 413),
        ("POST", "gradio_api/queue/join", 413),
    ],
)
def test_every_answer_says_that_it_is_what_it_says(
    url: str, method: str, path: str, status: int
) -> None:
    content = b"x" * (MAX_BODY + 1) if status == 413 else b""
    answer = httpx.request(method, url + path, content=content)
    assert answer.status_code == status
    assert sure(answer)


@pytest.mark.parametrize("path", ["", "config"])
def test_no_cache_on_the_way_gives_ones_page_to_others(url: str, path: str) -> None:
    assert httpx.get(url + path).headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("path", ["/chat/", "/chat/config", "/chat/config/", "/"])
async def test_nor_below_a_path(path: str) -> None:
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def nothing() -> Message:
        raise AssertionError("nothing is read")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": [], "query_string": b""}
    await ReverseProxy(app, "/chat")(scope, nothing, send)
    assert (b"cache-control", b"private, no-cache") in sent[0]["headers"]


@pytest.mark.parametrize("path", ["", "logout"])
def test_a_page_runs_what_the_server_wrote_and_nothing_else(url: str, path: str) -> None:
    answer = httpx.get(url + path)
    told = policy(answer)
    assert told["default-src"] == ["'none'"]
    assert told["connect-src"] == told["form-action"] == told["base-uri"] == ["'self'"]
    assert told["img-src"] == ["data:", "blob:"]
    assert told["frame-ancestors"] == ["'self'"]
    assert "microphone=()" in answer.headers["Permissions-Policy"]
    allowed = set(told["script-src"])
    for script in re.findall("<script>(.*?)</script>", answer.text, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in allowed
    named = {source for source in allowed if not source.startswith("'sha256-")}
    assert named == {"'self'", "'unsafe-eval'"}


def test_the_page_that_waits_and_the_backend_say_it_too() -> None:
    listening = listen()
    with lobby(listening, frames="'none'"):
        answer = httpx.get(f"http://127.0.0.1:{listening.getsockname()[1]}/")
    assert sure(answer)
    assert policy(answer)["frame-ancestors"] == ["'none'"]
    assert "'unsafe-inline'" not in policy(answer)["script-src"]
    with served(chat_with(ScriptedEngine())) as url:
        assert sure(httpx.get(f"{url}/v1/models"))


async def through(app: Any, **options: Any) -> list[Message]:
    """Return what comes of one request."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError

    await Headers(app, "'self'", **options)({"type": "http"}, receive, send)
    return sent


async def test_a_page_that_comes_in_parts_is_hashed_as_a_whole() -> None:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", b"28")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"<script>on", "more_body": True})
        await send({"type": "http.response.body", "body": b"e()</script>"})

    start, body = await through(app, later="<script>two()</script>")
    told = dict(start["headers"])[b"content-security-policy"].decode()
    for script in (b"one()", b"two()"):
        assert base64.b64encode(hashlib.sha256(script).digest()).decode() in told
    assert body["body"] == b"<script>one()</script>"


async def test_what_is_no_page_is_passed_on_as_it_comes() -> None:
    parts = [{"type": "http.response.body", "body": b"a", "more_body": True}]

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send(parts[0])

    assert (await through(app))[1:] == parts


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "'self'"),
        ("https://example.org, https://*.example.com:8443", None),
        ("none", "'none'"),
        ("*", ""),
    ],
)
def test_who_may_frame_the_page_is_a_setting(given: str | None, expected: str | None) -> None:
    if expected is None:
        expected = "'self' https://example.org https://*.example.com:8443"
    assert frames(Settings(frame_ancestors=given)) == expected


def test_a_space_is_shown_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "owner/name")
    assert frames(Settings()) == "'self' https://huggingface.co"


async def test_where_everyone_may_frame_it_nothing_is_said() -> None:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await Headers(app, "")({"type": "http"}, None, send)  # type: ignore[arg-type]
    told = dict(sent[0]["headers"])[b"content-security-policy"]
    assert b"default-src 'none'" in told
    assert b"frame-ancestors" not in told


@pytest.mark.parametrize(
    "bad", ["https://a.example; script-src *", "a b'c", "javascript:", "https://", "'self'", "\n;"]
)
def test_what_is_no_site_is_refused_and_names_the_flag(bad: str) -> None:
    with pytest.raises(SettingsError, match="--frame-ancestors"):
        read([f"--frame-ancestors={bad}"])


def test_a_page_comes_packed_to_whoever_can_unpack_it(serve: Serve) -> None:
    url = serve(ScriptedEngine())
    packed, plain = (
        httpx.get(url, headers={"Accept-Encoding": encoding}) for encoding in ("gzip", "identity")
    )
    assert packed.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["vary"]
    assert "content-encoding" not in plain.headers
    assert "window.gradio_config" in plain.text
    assert int(packed.headers["content-length"]) < len(plain.content) / 3
    one, other = (answer.headers["content-security-policy"] for answer in (packed, plain))
    assert one.count("sha256") == other.count("sha256") > 0
