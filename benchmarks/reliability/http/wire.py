"""Bytes to a port, as they are, and what comes back."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

#: Seconds for a byte; and for more of them where the connection need not end.
PATIENCE, MORE = 10.0, 1.0
STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.I)
SIZE = re.compile(rb"([0-9a-fA-F]+)\r\n")
CLOSE = re.compile(rb"\r\nconnection: *close\r\n", re.I)
#: Streams of events, which stay open for as long as somebody listens.
ENDLESS = re.compile(rb"GET /gradio_api/(?:queue/data|call/)")


class Answer(NamedTuple):
    """What came back, and whether the connection ended after it."""

    data: bytes
    ended: bool


async def exchange(
    port: int, parts: Sequence[bytes], pause: float = 0.0, *, whole: bool = True
) -> Answer | None:
    """Send the parts, and return what comes back; None if nothing does, and the port stays open.

    A request that is not `whole` ends there, and need not be answered.
    """
    more = PATIENCE if whole and closes(parts) else MORE
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        with suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                if pause:
                    await asyncio.sleep(pause)
            if not whole:
                with suppress(OSError):  # the other side has ended it already
                    writer.write_eof()
        patience = PATIENCE
        with suppress(ConnectionError):
            while True:
                async with asyncio.timeout(patience):
                    part = await reader.read(65536)
                answer += part
                if not part:
                    return Answer(answer, True)
                patience = more
    except TimeoutError:
        return Answer(answer, False) if answer else None
    finally:
        writer.close()
    return Answer(answer, True)


def closes(parts: Sequence[bytes]) -> bool:
    """Return whether the connection has to end once a request is answered."""
    sent = b"".join(parts)
    return bool(CLOSE.search(sent)) and not ENDLESS.match(sent)


def complete(answer: bytes, method: bytes) -> bool:
    """Return whether all answers in it are as long as they say that they are."""
    rest = answer
    while rest:
        head, found, rest = rest.partition(b"\r\n\r\n")
        status = STATUS.match(head)
        if not (found and status):
            return False
        if method == b"HEAD" or status[1].startswith(b"1") or status[1] in (b"204", b"304"):
            continue
        if CHUNKED.search(head):
            end = _chunks(rest)
        elif length := LENGTH.search(head):
            end = int(length[1])
        else:
            end = len(rest)
        if end is None or end > len(rest):
            return False
        rest = rest[end:]
    return True


def _chunks(body: bytes) -> int | None:
    """Return where a body in chunks ends; None if it does not."""
    place = 0
    while size := SIZE.match(body, place):
        place = size.end() + int(size[1], 16) + 2
        if not int(size[1], 16):
            return place
    return None


def statuses(answer: bytes) -> list[int]:
    """Return the statuses in what came back."""
    return [int(status) for status in STATUS.findall(answer)]


def request(
    method: str, path: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()
) -> bytes:
    """Return a request as it goes over the wire, after which the connection ends."""
    head = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
    head += [f"{name}: {value}" for name, value in headers]
    if body or method == "POST":
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join(head).encode("latin-1", "replace") + b"\r\n\r\n" + body
