"""The body of a request: JSON alone, and unpacked if it was packed (RFC 9110, 8.4.1)."""

import asyncio
import zlib

from starlette.exceptions import HTTPException
from starlette.requests import Request

#: Bytes of one request, packed and unpacked. A long conversation that a browser sends has some
#: 100,000.
MAX_BODY = 1_000_000

#: Most parts of a gzip file, which may have any number of empty ones.
MOST_PARTS = 64

#: What zlib is told to expect; "deflate" is zlib's format, and some send it without its head.
CODINGS = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}


async def body_of(request: Request, most: int = MAX_BODY) -> bytes:
    """Return the body of a request, of `most` bytes, packed and unpacked.

    Raises:
        HTTPException: it is not said to be JSON, too large, or packed in a way that is not
            offered or not as is said.
    """
    kind = request.headers.get("content-type", "").partition(";")[0]
    # Others are what a page of any site can send to a server on its visitor's machine.
    if kind.strip().lower() != "application/json":
        raise HTTPException(415, "Please send JSON, with Content-Type: application/json.")
    coding = ", ".join(request.headers.getlist("content-encoding")).strip().lower()
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise _too_large(most)
    if coding in ("", "identity"):
        return body
    if coding not in CODINGS:
        raise HTTPException(
            415,
            "Please send the request as it is, or with Content-Encoding: gzip or deflate.",
            {"Accept-Encoding": "gzip, deflate"},
        )
    return await asyncio.to_thread(unpacked, body, coding, most)


def unpacked(body: bytes, coding: str, most: int) -> bytes:
    """Unpack a body, and no more of it than `most` bytes.

    Raises:
        HTTPException: there is more, or it is not packed like that.
    """
    for bits in CODINGS[coding]:
        try:
            return _inflated(body, bits, most)
        except zlib.error:
            continue
    raise HTTPException(400, f"The request is not what its Content-Encoding says, {coding}.")


def _inflated(body: bytes, bits: int, most: int) -> bytes:
    found = b""
    for _ in range(MOST_PARTS if bits == 31 else 1):
        unpacker = zlib.decompressobj(bits)
        found += unpacker.decompress(body, most + 1 - len(found))
        if len(found) > most:
            raise _too_large(most)
        if not unpacker.eof:
            raise zlib.error("it ends too early")
        body = unpacker.unused_data
        if not body:
            return found
    raise zlib.error("something follows it")


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"The limit is {most:,} bytes.")
