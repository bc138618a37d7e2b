"""chat.engines.server.connection: proxies of the environment are for servers that are far."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from chat.engines.server.connection import Connection
from chat.errors import ModelError


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"is": "there"}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(name="port")
def _port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "http://127.0.0.1:9", "what://is this"])
def test_a_server_that_is_near_is_asked_without_a_proxy(
    proxy: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    for name in ("127.0.0.1", "localhost"):
        asked = Connection(f"http://{name}:{port}", "a key").ask("/health")
        assert asked == (200, {"is": "there"})


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "what://is this"])
def test_a_proxy_that_cannot_be_used_is_said(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(
        ModelError, match=r"^The server cannot be asked by the proxy that ALL_PROXY"
    ):
        Connection("http://model.example").ask("/health")
