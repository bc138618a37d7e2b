"""chat.web.origins: what a stranger's page has a browser ask, and all that has to get through."""

from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from chat.errors import SettingsError
from chat.settings import Settings, read
from chat.web.origins import Origins
from tests.conftest import Serve
from tests.support.backends import asking, ids, served
from tests.support.fakes import ScriptedEngine, chat_with

HERE, ALL = "127.0.0.1", "0.0.0.0"
JOIN, CHAT = "/gradio_api/queue/join", "/v1/chat/completions"
EVIL = {"origin": "http://evil.example"}
SAME = {"sec-fetch-site": "same-origin"}
JSON = {"content-type": "application/json"}


async def status(
    host: str | None,
    path: str = JOIN,
    *,
    listening: str = HERE,
    method: str = "POST",
    version: str = "1.1",
    link: str | None = None,
    headers: Any = (),
    **settings: Any,
) -> int:
    """Return what a request for this `Host` gets."""
    given = {**({"host": host} if host is not None else {}), **dict(headers)}
    scope = {
        "type": "http",
        "path": path,
        "method": method,
        "http_version": version,
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    sent: list[Message] = []

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    await Origins(app, Settings(**settings), listening, lambda: link)(scope, receive, send)
    return int(sent[0]["status"])


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:7860", "192.168.1.5:7860", "[::1]:7860", "[fe80::1]"),
        *("localhost", "LOCALHOST:7860", "localhost.", "chat.localhost:7860"),
        *("page1:7860", "inside"),  # names without a dot are of one's own network
        *("host.docker.internal:7860", "host.containers.internal"),  # and so are those
    ],
)
async def test_names_that_no_stranger_can_own_are_taken(host: str) -> None:
    assert await status(host) == 200


@pytest.mark.parametrize("path", ["/", "/config", JOIN, CHAT, "/v1/models", "/metrics"])
@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.evil.example"),
        *("xlocalhost.example", "evil.example#localhost", "a@evil.example", "[evil.example", ""),
        None,
    ],
)
async def test_a_strangers_name_that_leads_here_is_refused(host: str | None, path: str) -> None:
    for method in ("GET", "POST"):
        assert await status(host, path, method=method) == 403


@pytest.mark.parametrize(
    "given",
    [
        {"listening": ALL},
        {"listening": ALL, "allowed_hosts": "evil.example"},
        {"listening": ""},
        {"listening": "evil.example"},
        {"auth": "ann:secret"},
        {"path": CHAT, "api_key": "key"},
        {"path": "//v1//models/", "api_key": "key"},
        {"path": "/health"},
        {"path": "/live"},
        {"version": "1.0"},  # by nginx
        {"headers": SAME},  # over TLS
        {"link": "https://evil.example"},
        {"allowed_hosts": "a.example, EVIL.example"},
        {"allowed_hosts": "*.example"},
        {"allowed_hosts": "*"},
    ],
)
async def test_where_a_name_is_known_or_something_else_protects_it_is_taken(given: Any) -> None:
    path = given.pop("path", JOIN)
    assert await status("evil.example:7860", path, **given) == 200


@pytest.mark.parametrize(
    "given",
    [
        {"path": JOIN, "api_key": "key"},  # which the page does not ask for
        {"path": "/v1x", "api_key": "key"},
        {"allowed_hosts": "evil.exampl, xevil.example, vil.example"},
        {"allowed_hosts": "*.evil.example"},
        {"listening": ALL, "allowed_hosts": "a.example"},
        {"link": "https://x.evil.example"},
        {"headers": {"x-forwarded-host": "localhost", "x-forwarded-proto": "https"}},
    ],
)
async def test_what_protects_elsewhere_or_can_be_forged_does_not(given: Any) -> None:
    assert await status("evil.example", given.pop("path", JOIN), **given) == 403


async def test_a_space_knows_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await status("owner-name.hf.space") == 403
    monkeypatch.setenv("SPACE_HOST", "owner-name.hf.space")
    assert await status("owner-name.hf.space") == 200


@pytest.mark.parametrize("listening", [HERE, ALL, ""])
@pytest.mark.parametrize("host", ["127.0.0.1:7860", "192.168.1.5", "localhost", "inside"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://evil.example:7860", "x-forwarded-host": "evil.example"},
        {"origin": "http://127.0.0.1.evil.example"},
        {"origin": "http://localhost@evil.example"},
        {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
        {"origin": "https://evil.example", "sec-fetch-site": "same-site"},
        {"origin": "null", "sec-fetch-site": "cross-site"},
    ],
)
async def test_another_sites_page_may_not_ask(listening: str, host: str, headers: Any) -> None:
    for path in (JOIN, "/login", "/gradio_api/call/chat", CHAT, "/tokenize"):
        assert await status(host, path, listening=listening, headers=JSON | headers) == 403
    assert await status(host, "/config", method="GET", headers=headers) == 403


async def test_what_the_browser_says_of_the_site_goes_before_names() -> None:
    """A proxy may pass no name on, and another port of the same name is another site."""
    cross, same = ({"sec-fetch-site": site} for site in ("cross-site", "same-site"))
    assert await status("127.0.0.1", version="1.0", headers=EVIL | cross) == 403
    beside = {"origin": "https://chat.example:8443"}
    assert await status("chat.example", listening=ALL, headers=beside | same) == 403


@pytest.mark.parametrize("settings", [{"auth": "ann:secret"}, {"api_key": "key"}])
async def test_a_login_does_not_help_it_since_the_browser_sends_the_cookie(settings: Any) -> None:
    assert await status("chat.example", JOIN, listening=ALL, headers=EVIL, **settings) == 403
    assert await status("chat.example", "/login", listening=ALL, headers=EVIL, **settings) == 403


@pytest.mark.parametrize(
    ("host", "given"),
    [
        ("chat.example:80", {"headers": {"origin": "http://chat.example"}}),
        ("chat.example", {"headers": {"origin": "https://chat.example:8443"}}),
        ("[fe80::1]:7860", {"headers": {"origin": "http://[fe80::1]:7860"}}),
        # A proxy that passes no name on
        ("10.0.0.5:7860", {"headers": {"origin": "https://chat.example"} | SAME}),
        ("127.0.0.1:7860", {"headers": {"origin": "http://chat.example"}, "version": "1.0"}),
        # A form without a referrer, that the browser says is ours
        ("chat.example", {"headers": {"origin": "null"} | SAME}),
        ("chat.example", {"headers": {"origin": "null", "sec-fetch-site": "none"}}),
        # Pages of this machine
        ("127.0.0.1:7860", {"headers": {"origin": "http://localhost:3000"}}),
        ("localhost", {"headers": {"origin": "http://[::1]:3000", "sec-fetch-site": "same-site"}}),
        # Programs and extensions
        ("127.0.0.1:7860", {"headers": {}}),
        ("127.0.0.1:7860", {"headers": {"origin": "chrome-extension://abc"}}),
        # Named ones
        ("chat.example", {"headers": EVIL, "allowed_hosts": "*.example"}),
        ("chat.example", {"headers": EVIL, "allowed_hosts": "*"}),
    ],
)
async def test_the_page_itself_and_those_that_may_ask(host: str, given: Any) -> None:
    assert await status(host, listening=ALL, **given) == 200


async def test_a_key_protects_the_api_whoever_asks() -> None:
    headers = JSON | EVIL | {"sec-fetch-site": "cross-site"}
    assert await status("chat.example", CHAT, headers=headers, api_key="key") == 200
    assert await status("chat.example", CHAT, headers=headers, listening=ALL) == 403


async def test_a_proxy_that_passes_no_name_on_is_not_believed_once_its_name_is_set() -> None:
    given = {"version": "1.0", "allowed_hosts": "chat.example"}
    assert await status("127.0.0.1:7860", headers={"origin": "http://chat.example"}, **given) == 200
    assert await status("127.0.0.1:7860", headers=EVIL, **given) == 403
    # Nor where it passes one on.
    assert await status("chat.example", headers=EVIL, version="1.0") == 403


def test_the_server_says_what_to_set(serve: Serve) -> None:
    engine = ScriptedEngine()
    url = serve(engine)
    asked = {"messages": [{"role": "user", "content": "Hi"}]}
    for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
        page = httpx.post(f"{url}gradio_api/run/chat", json={"data": ["Hi"]}, headers=headers)
        openais = httpx.post(f"{url}v1/chat/completions", json=asked, headers=headers)
        anthropics = httpx.post(f"{url}v1/messages", json=asked, headers=headers)
        assert page.status_code == openais.status_code == anthropics.status_code == 403
        told = openais.json()["error"]["message"]
        assert "--allowed-hosts" in told
        assert page.json()["error"] == anthropics.json()["error"]["message"] == told
        assert anthropics.json()["error"]["type"] == "permission_error"
        assert httpx.get(f"{url}health", headers=headers).status_code == 200
    assert engine.prompts == []


def test_a_share_link_leads_to_the_page(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    link = "https://example.gradio.live"
    monkeypatch.setattr("gradio.networking.setup_tunnel", lambda **_: link)
    url = serve(ScriptedEngine(), share=True)
    assert httpx.get(url, headers={"Host": "example.gradio.live"}).status_code == 200
    assert httpx.get(url, headers={"Host": "other.gradio.live"}).status_code == 403


def test_the_backend_refuses_pages_and_knows_no_name() -> None:
    asked = asking(prompt=ids("user: hi"), max_tokens=2)
    with served(chat_with(ScriptedEngine())) as url:
        for headers, expected in (
            ({"Origin": "https://evil.example"}, 403),
            ({"Host": "backend.chat.svc.cluster.local:8000"}, 200),
        ):
            answer = httpx.post(f"{url}/v1/completions", json=asked, headers=headers)
            assert answer.status_code == expected
    with served(chat_with(ScriptedEngine()), server_name="127.0.0.1") as url:
        answer = httpx.post(f"{url}/v1/completions", json=asked, headers={"Host": "evil.example"})
        assert answer.status_code == 403


@pytest.mark.parametrize("bad", ["https://a.example", "a.example:80", "a*.example", "a/b", "*."])
def test_what_is_no_name_is_refused_and_names_the_flag(bad: str) -> None:
    with pytest.raises(SettingsError, match="--allowed-hosts"):
        read([f"--allowed-hosts={bad}"])
