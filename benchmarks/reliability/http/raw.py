"""What no client sends by mistake: cut, slow, pipelined, oversized and malformed requests."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks.reliability.echo.asked import message
from benchmarks.reliability.http.described import CANARY


class Raw(NamedTuple):
    """What is sent over a connection."""

    kind: str
    parts: list[bytes]
    #: Seconds between the parts.
    pause: float = 0.0
    #: Whether it is more or less a request, which is answered or the connection closed.
    whole: bool = True


def chat(word: str = CANARY, *, stream: bool = False) -> bytes:
    """Return a request that asks for a reply, after which the connection ends."""
    messages = [{"role": "user", "content": message(word)}]
    body = json.dumps({"messages": messages, "stream": stream}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\nContent-Type: application/json\r\n\r\n".encode() + body


def backend(prompt: Sequence[int] = (5, 6, 7), *, stream: bool = False) -> bytes:
    """Return the same for a backend, with these ids."""
    made = {"prompt": prompt, "stream": stream, "return_token_ids": True}
    body = json.dumps(made).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\nContent-Type: application/json\r\n\r\n".encode() + body


def cuts(sent: bytes) -> Iterator[Raw]:
    """Yield a request that ends early, after each of its bytes."""
    for length in range(len(sent)):
        yield Raw("cut", [sent[:length]], whole=False)


def odd(sent: bytes) -> Iterator[Raw]:
    """Yield requests that are odd, each in its own way."""
    head, _, body = sent.partition(b"\r\n\r\n")
    line, _, fields = head.partition(b"\r\n")
    path = line.split()[1]
    kept = sent.replace(b"Connection: close", b"Connection: keep-alive")
    coded = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", fields)
    chunked = line + b"\r\n" + coded + b"\r\n\r\n"

    yield Raw("slow", [sent[place : place + 8] for place in range(0, len(sent), 8)], 0.02)
    yield Raw("slow", [head + b"\r\n\r\n", body[:3], body[3:]], 0.3)
    yield Raw("pipelined", [kept * 3 + sent])
    yield Raw("pipelined", [kept + b"garbage\r\n\r\n" + sent])
    yield Raw("pipelined", [kept[:-5], kept[-5:] + sent[:40]], 0.05, whole=False)
    long = CANARY.encode() * 7000
    yield Raw("oversized", [line + b"\r\nX: " + long + b"\r\n" + fields + b"\r\n\r\n" + body])
    many = b"".join(b"X-%d: y\r\n" % number for number in range(5000))
    yield Raw("oversized", [line + b"\r\n" + many + fields + b"\r\n\r\n" + body])
    yield Raw(
        "oversized",
        [line.replace(path, path + b"?" + long) + b"\r\n" + fields + b"\r\n\r\n" + body],
    )
    size = b"Content-Length: %d" % 5_000_000
    for number in (b"99999999999999999999999", b"5000000", b"-1", b"0x10", b"1e3", b"+5", b""):
        claimed = b"Content-Length: " + number
        other = head.replace(b"Content-Length: %d" % len(body), claimed)
        yield Raw("oversized", [other + b"\r\n\r\n" + body], whole=False)
    big = head.replace(b"Content-Length: %d" % len(body), size)
    yield Raw("oversized", [big + b"\r\n\r\n", *[b" " * 500_000] * 10], whole=False)
    for chunk in (b"FFFFFFFFFFFFFFFFFF\r\n", b"-1\r\n", b"zz\r\n", b"5;" + b"x" * 70_000 + b"\r\n"):
        yield Raw("chunks", [chunked + chunk + body + b"\r\n0\r\n\r\n"], whole=False)
    good = b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    yield Raw("chunks", [chunked + good])
    yield Raw("chunks", [chunked + good[:-4] + b"X: y\r\n\r\n"], whole=False)
    yield Raw("chunks", [chunked + b"%x\n" % len(body) + body + b"\n0\n\n"], whole=False)
    yield Raw(
        "chunks", [chunked, *[b"1\r\n" + bytes([one]) + b"\r\n" for one in body], b"0\r\n\r\n"]
    )
    both = fields + b"\r\nTransfer-Encoding: chunked"
    yield Raw("smuggled", [line + b"\r\n" + both + b"\r\n\r\n" + good], whole=False)
    for double in (
        b"Content-Length: 0",
        b"Content-Length: %d" % len(body),
        b"Content-Length: 5, 6",
    ):
        yield Raw("smuggled", [head + b"\r\n" + double + b"\r\n\r\n" + body], whole=False)
    spelt = (b"xchunked", b"chunked, identity", b"identity", b"\x0bchunked", b"gzip", b"Chunked ,")
    for coding in spelt:
        text = chunked.replace(b"chunked", coding)
        yield Raw("smuggled", [text + good], whole=False)
    methods = (
        b"GE T",
        b"",
        b"\xff",
        b"PRI",
        b"POST\x00",
        b"post",
        b"A" * 3000,
        b"CONNECT",
        b"M-SEARCH",
    )
    for method in methods:
        yield Raw("malformed", [sent.replace(b"POST", method, 1)], whole=False)
    targets = (
        *(
            b"http://x" + path,
            b"http://" + CANARY.encode() + b"@x:99999/",
            b"*",
            b"//x" + path,
            b"",
        ),
        *(b"x:443", b"https://[::1" + path, b"http://[", path + b" extra", b"\xff\xfe", b"/\x00"),
        *(b"/%", b"/%zz", b"/" + b"../" * 500, b"\\", b"/%u0041", b"http:///", b"http://x:y/"),
    )
    for target in targets:
        yield Raw("malformed", [sent.replace(path, target, 1)], whole=False)
    for version in (
        b"HTTP/0.9",
        b"HTTP/1.0",
        b"HTTP/2.0",
        b"HTTP/9.9",
        b"http/1.1",
        b"HTTP/1.1.1",
        b"",
    ):
        yield Raw("malformed", [sent.replace(b"HTTP/1.1", version, 1)], whole=False)
    yield Raw("malformed", [b"GET /\r\n"], whole=False)
    yield Raw("malformed", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04\x00"], whole=False)
    yield Raw(
        "malformed", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)], whole=False
    )
    for field in (
        *(
            b" folded: once\r\n more",
            b"X:\x00y",
            b"X : y",
            b": y",
            b"X",
            b"X: \xff\xfe",
            b"\x00: y",
        ),
        *(b"X: y\rZ: w", b"X:\r\n y", b"Host: a\r\nHost: b", b"Host: a b", b"Host:", b"X: y\nZ: w"),
        *(b"Expect: 100-continue", b"Upgrade: h2c\r\nConnection: Upgrade", b"Expect: 200-ok"),
        *(b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x", b"Trailer: X"),
        *(b"X-Forwarded-For: \xff", b"X-Forwarded-Proto: " + CANARY.encode(), b"Forwarded: for=x"),
        *(
            b"X-Forwarded-Host: [",
            b"X-Forwarded-Prefix: //x",
            b"Cookie: \xff=\x01",
            b"Range: bytes=x",
        ),
        *(
            b"Accept-Language: " + b"x" * 9000,
            b"Origin: null",
            b"Origin: http://[",
            b"Referer: \xff",
        ),
        *(
            b"Content-Encoding: gzip",
            b"X-Request-Id: " + CANARY.encode() + b" \xff",
        ),
    ):
        yield Raw(
            "malformed",
            [line + b"\r\n" + field + b"\r\n" + fields + b"\r\n\r\n" + body],
            whole=False,
        )
    for end in (b"\n\n", b"\r\r", b"\r\n\n", b"\r\n \r\n"):
        yield Raw("malformed", [head + end + body], whole=False)
    yield Raw("malformed", [bytes(range(256)) * 50], whole=False)
    yield Raw("malformed", [b"\r\n" * 2000 + sent], whole=False)
