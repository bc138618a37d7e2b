"""chat.web.origin_form: a request for a whole address, as some proxies write it."""

import json
import socket
from urllib.parse import urlsplit

import pytest

from chat.web.origin_form import OriginForm
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine


@pytest.mark.parametrize(
    ("path", "raw", "expected"),
    [
        ("http://host/v1/models", b"http://host/v1/models", ("/v1/models", b"/v1/models")),
        ("http://host:80/a b", b"http://host:80/a%20b", ("/a b", b"/a%20b")),
        ("HTTPS://host/", b"HTTPS://host/", ("/", b"/")),
        ("http://host", b"http://host", ("/", b"/")),
        ("http://h/metrics", b"http://h%2Fmetrics", ("/", b"/")),
        ("http://[::1]:80/x://y", b"http://[::1]:80/x://y", ("/x://y", b"/x://y")),
        ("/v1/models", b"/v1/models", ("/v1/models", b"/v1/models")),
        ("/http://host/", b"/http://host/", ("/http://host/", b"/http://host/")),
        ("*", b"*", ("*", b"*")),
        ("", b"", ("", b"")),
    ],
)
async def test_the_path_alone_is_looked_at(
    path: str, raw: bytes, expected: tuple[str, bytes]
) -> None:
    seen = []

    async def app(scope: object, receive: object, send: object) -> None:
        assert isinstance(scope, dict)
        seen.append((scope["path"], scope["raw_path"]))

    async def nothing(*_: object) -> object:
        raise AssertionError("nobody reads or writes")

    await OriginForm(app)({"type": "http", "path": path, "raw_path": raw}, nothing, nothing)
    assert seen == [expected]


def ask(url: str, line: str, body: bytes = b"") -> str:
    """Send a request as it is written, and return the answer."""
    address = urlsplit(url)
    head = f"{line} HTTP/1.1\r\nHost: host\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=10) as client:
        client.sendall(head.encode() + body)
        return b"".join(iter(lambda: client.recv(65536), b"")).decode()


def test_a_server_takes_both_forms(serve: Serve) -> None:
    engine = ScriptedEngine()
    url = serve(engine)
    for line in ("GET /v1/models", "GET http://host/v1/models", "GET http://host/v1/models/?a=1"):
        answer = ask(url, line)
        assert answer.startswith("HTTP/1.1 200"), answer
        assert json.loads(answer.split("\r\n\r\n")[1])["object"] == "list"
    assert '"ready"' in ask(url, "GET http://host/health")
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}]}).encode()
    assert "You said: hi" in ask(url, "POST http://host/v1/chat/completions", body)
    assert ask(url, "GET http://host/gradio_api/upload").startswith("HTTP/1.1 404")
