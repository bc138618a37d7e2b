"""chat.web.api.body: what is sent may be packed, but not be a bomb."""

import gzip
import json
import time
import zlib
from collections.abc import Callable

import pytest

from chat.web.api.body import MAX_BODY
from tests.support.fakes import ScriptedEngine
from tests.support.programs import HI, Programs, error

BODY = json.dumps({"messages": HI}).encode()


def headless(data: bytes) -> bytes:
    """Pack without zlib's head, as some do who say deflate."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("GZIP", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", headless),
    ("identity", bytes),
    ("", bytes),
]


@pytest.mark.parametrize(("coding", "pack"), PACKERS)
@pytest.mark.parametrize("path", ["/chat/completions", "/tokenize"])
async def test_a_request_may_be_packed(
    coding: str, pack: Callable[[bytes], bytes], path: str
) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    client = Programs(ScriptedEngine()).client
    answer = await client.post(path, content=pack(BODY), headers=headers)
    assert answer.status_code == 200, answer.text


async def post(coding: str, content: bytes, kind: str = "application/json") -> dict[str, object]:
    programs = Programs(ScriptedEngine())
    headers = {"Content-Type": kind, "Content-Encoding": coding}
    answer = await programs.client.post("/chat/completions", content=content, headers=headers)
    assert programs.engine.prompts == []
    if answer.status_code == 415 and "Encoding" in answer.text:
        assert answer.headers["accept-encoding"] == "gzip, deflate"
    return {**error(answer, answer.status_code), "status": answer.status_code}


@pytest.mark.parametrize(("coding", "pack"), [PACKERS[0], *PACKERS[3:5]])
async def test_it_may_not_weigh_more_unpacked_than_it_may_weigh_at_all(
    coding: str, pack: Callable[[bytes], bytes]
) -> None:
    blank = BODY + b" " * (MAX_BODY - len(BODY))
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    client = Programs(ScriptedEngine()).client
    fits = await client.post("/chat/completions", content=pack(blank), headers=headers)
    assert fits.status_code == 200
    refused = await post(coding, pack(blank + b" "))
    assert refused["status"] == 413
    assert refused["message"] == f"The limit is {MAX_BODY:,} bytes."


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_bomb_is_refused_while_it_is_unpacked(coding: str) -> None:
    pack = gzip.compress if coding == "gzip" else zlib.compress
    bomb = pack(bytes(500_000_000), 1)
    start = time.process_time()
    assert (await post(coding, bomb))["status"] == 413
    assert time.process_time() - start < 0.5


async def test_a_file_of_many_empty_parts_is_refused_at_once() -> None:
    start = time.process_time()
    refused = await post("gzip", gzip.compress(b"") * 40_000 + gzip.compress(BODY, mtime=0))
    assert refused["status"] == 400
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "gzip, deflate", "x"])
async def test_another_packing_is_refused_with_those_there_are(coding: str) -> None:
    refused = await post(coding, BODY)
    assert refused["status"] == 415
    assert refused["message"] == (
        "Please send the request as it is, or with Content-Encoding: gzip or deflate."
    )


@pytest.mark.parametrize(
    ("coding", "content"),
    [
        ("gzip", BODY),
        ("gzip", b""),
        ("gzip", gzip.compress(BODY, mtime=0)[:-9]),
        ("gzip", gzip.compress(BODY, mtime=0) + b"more"),
        ("gzip", zlib.compress(BODY)),
        ("deflate", BODY),
        ("deflate", zlib.compress(BODY)[:-5]),
        ("deflate", zlib.compress(BODY) + b"more"),
        ("deflate", gzip.compress(BODY, mtime=0)),
    ],
)
async def test_what_is_not_packed_as_is_said_is_refused(coding: str, content: bytes) -> None:
    refused = await post(coding, content)
    assert refused["status"] == 400
    assert refused["message"] == f"The request is not what its Content-Encoding says, {coding}."


async def test_a_gzip_file_may_have_parts() -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    parts = gzip.compress(BODY[:10]) + gzip.compress(b"") + gzip.compress(BODY[10:])
    client = Programs(ScriptedEngine()).client
    answer = await client.post("/chat/completions", content=parts, headers=headers)
    assert answer.status_code == 200


async def test_what_a_page_of_another_site_could_send_is_not_unpacked() -> None:
    refused = await post("gzip", gzip.compress(BODY, mtime=0), "text/plain")
    assert refused["status"] == 415
    assert "application/json" in str(refused["message"])
