"""Bytes to a port, as they are, and what comes back."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress

#: Seconds for a first byte, and then until the end.
PATIENCE, MORE = 10.0, 1.0
STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")


async def exchange(
    port: int, parts: Sequence[bytes], pause: float = 0.0, *, whole: bool = True
) -> bytes | None:
    """Send the parts, and return what comes back; None if nothing does, and the port stays open.

    A request that is not `whole` ends there, and need not be answered.
    """
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
                    return answer
                patience = MORE
    except TimeoutError:
        return answer or None
    finally:
        writer.close()
    return answer


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
