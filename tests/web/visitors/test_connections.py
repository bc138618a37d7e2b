"""chat.web.visitors.connections: silent and slow connections keep nobody out."""

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from uvicorn.server import ServerState

from chat.web.visitors import connections
from chat.web.visitors.connections import Connection, options
from tests.conftest import Serve
from tests.conftest import serving as start_serving
from tests.support.fakes import ScriptedEngine


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with start_serving() as serve:
        yield serve(ScriptedEngine(lambda prompt: "Yes."), trusted_proxies="198.51.100.0/24")


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as held:
        yield held


def connect(url: str, held: ExitStack, first: bytes = b"") -> socket.socket:
    address = httpx.URL(url)
    one = held.enter_context(socket.create_connection((address.host, address.port or 0), 20))
    one.settimeout(20)
    one.sendall(first)
    return one


def answered(one: socket.socket) -> bytes:
    """Read all that comes until the other side closes."""
    found = b""
    try:
        while part := one.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


@pytest.mark.parametrize(
    ("first", "told"),
    [
        (b"", b""),
        (b"GET /heal", b"HTTP/1.1 408 "),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nX-A: b", b"HTTP/1.1 408 "),
    ],
)
def test_who_sends_no_whole_head_is_cut_off(
    url: str, held: ExitStack, monkeypatch: pytest.MonkeyPatch, first: bytes, told: bytes
) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.1)
    assert answered(connect(url, held, first)).startswith(told)


def test_who_sends_on_after_an_answer_is_cut_off_too(
    url: str, held: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvicorn would take each byte for a sign of life."""
    monkeypatch.setattr(connections, "PATIENCE", 0.3)
    head = b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
    one = connect(url, held, head + b"x" * 999_000)
    one.settimeout(0.02)
    found, cut = b"", False
    for _ in range(500):
        try:
            one.sendall(b"x")
            part = one.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            cut = True
            break
        found += part
        if not part:
            cut = True
            break
    assert cut


def test_who_is_being_answered_is_not_cut_off(
    serve: Serve, held: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.1)
    url = serve(ScriptedEngine(lambda prompt: "x" * 20, pace=0.05))
    body = {"messages": [{"role": "user", "content": "Hi"}]}
    answer = httpx.post(f"{url}v1/chat/completions", json=body)
    assert answer.json()["choices"][0]["message"]["content"] == "x" * 20


def test_a_connection_can_be_used_again_and_pipelined(url: str, held: ExitStack) -> None:
    ask = b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert answered(connect(url, held, ask * 5 + last)).count(b"HTTP/1.1 200 OK") == 6


def test_where_there_is_no_room_those_go_that_have_waited_longest(
    url: str, held: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "most", Connection.open + 5)
    silent = [connect(url, held) for _ in range(40)]
    for _ in range(3):
        assert httpx.get(f"{url}health").status_code == 200
        assert httpx.get(f"{url}live").status_code == 200
    assert [answered(one) for one in silent[:30]] == [b""] * 30


def test_an_address_on_the_internet_has_so_many_and_proxies_as_many_as_there_are(
    url: str, held: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "each", 3)
    many = [connect(url, held) for _ in range(5)]  # from this machine
    assert httpx.get(f"{url}live").status_code == 200
    for one in many:
        one.close()
    # As if this machine's address were one of the Internet, and then one of a known proxy.
    monkeypatch.setattr(connections, "is_private", lambda address: False)
    monkeypatch.setattr(Connection, "proxies", [])
    for _ in range(8):
        one = connect(url, held, b"GET /live HTTP/1.1\r\n")
    assert answered(one) == b""
    monkeypatch.setattr(Connection, "proxies", [connections.ip_network("127.0.0.0/8")])
    assert httpx.get(f"{url}live").status_code == 200


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:2%eth0", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("203.0.113.5", "203.0.113.5"),
        ("", ""),
    ],
)
async def test_of_ipv6_a_network_of_64_bits_is_counted_as_one(host: str, counted: str) -> None:
    class From(asyncio.Transport):
        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return (host, 1) if name == "peername" else default

        def close(self) -> None:
            pass

    config = uvicorn.Config(Starlette(), log_config=None, lifespan="off")
    config.load()
    one = Connection(config, ServerState(), {})
    one.connection_made(From())
    assert Connection.of[counted] == 1
    one.connection_lost(None)
    assert counted not in Connection.of


def test_there_are_no_websockets_and_who_asks_for_one_writes_nothing_into_the_log(
    url: str, held: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    head = (
        b"GET /live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert answered(connect(url, held, head)).startswith(b"HTTP/1.1 200 ")
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "most"),
    [
        (256, 1024, 1024, 768),
        (1024, 1_048_576, 16_384, 10_000),
        (20_000, 20_000, None, 10_000),
        (1024, resource.RLIM_INFINITY, 16_384, 10_000),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None, 10_000),
    ],
)
def test_as_many_files_may_be_open_as_are_needed_and_no_more_connections_than_that(
    soft: int, hard: int, raised: int | None, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    for name in ("most", "proxies"):
        monkeypatch.setattr(Connection, name, getattr(Connection, name))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: told.append(limits))
    uvicorn.Config(None, **options("127.0.0.1,::1,10.0.0.0/8"))
    assert told == ([(raised, hard)] if raised else [])
    assert Connection.most == most
