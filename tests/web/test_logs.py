"""chat.web.logs and chat.web.requests: ids of requests, and what is logged of them."""

import asyncio
import io
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from gradio_client import Client
from hypothesis import given
from hypothesis import strategies as st

from chat.web import logs
from chat.web.logs import HEADER, Json, Text
from chat.web.requests import SANE, shown
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged as JSON."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(Json())
    root, level = logging.getLogger(), logs.access.level
    root.addHandler(handler)
    logs.access.setLevel(logging.INFO)
    yield written
    logs.access.setLevel(level)
    root.removeHandler(handler)


def read(written: io.StringIO, **having: str) -> list[dict[str, Any]]:
    """Wait until there are such lines, as one is written once its request is answered."""
    while True:
        lines = [json.loads(line) for line in written.getvalue().splitlines()]
        if found := [one for one in lines if one.items() >= having.items()]:
            return found
        time.sleep(0.01)


def fail(prompt: str) -> str:
    raise RuntimeError("yraid ym"[::-1])  # as the log has lines of code


BODY = {"messages": [{"role": "user", "content": "my diary"}]}


@pytest.mark.parametrize("sent", ["a", "req_0.1-B", "x" * 64])
def test_a_sane_id_comes_back_and_is_in_the_line_of_the_request(
    sent: str, serve: Serve, lines: io.StringIO
) -> None:
    answer = httpx.get(f"{serve(ScriptedEngine())}health?q=my+diary", headers={HEADER: sent})
    assert answer.headers[HEADER] == sent
    (line,) = read(lines, path="/health")
    assert (
        line.items()
        >= {
            "level": "INFO",
            "request_id": sent,
            "method": "GET",
            "path": "/health",
            "status": 200,
            "message": "GET /health 200",
        }.items()
    )
    assert line["ms"] > 0
    assert line["time"].endswith("+00:00")
    assert "diary" not in lines.getvalue()


@pytest.mark.parametrize("sent", [None, "", "x" * 65, "two words", "a\tb", 'a"b', "ä".encode()])
def test_any_other_id_is_replaced(sent: Any, serve: Serve) -> None:
    url = serve(ScriptedEngine())
    headers = {} if sent is None else {HEADER: sent}
    first, second = (httpx.get(f"{url}health", headers=headers).headers[HEADER] for _ in range(2))
    assert SANE.fullmatch(first)
    assert first != second


@pytest.mark.parametrize("way", ["API", "page"])
def test_what_goes_wrong_is_logged_with_the_id_and_without_what_was_said(
    way: str, serve: Serve, lines: io.StringIO
) -> None:
    url = serve(ScriptedEngine(fail))
    if way == "API":
        answer = httpx.post(f"{url}v1/chat/completions", json=BODY, headers={HEADER: "mine"})
        assert answer.status_code == 500
    else:
        with pytest.raises(Exception, match="Something went wrong"):
            Client(url, verbose=False, headers={HEADER: "mine"}).predict("Hi", api_name="/chat")
    (wrong,) = read(lines, level="ERROR")
    assert wrong["request_id"] == "mine"
    assert wrong["message"].startswith("RuntimeError at")
    assert "diary" not in lines.getvalue()


def test_of_an_exception_its_text_is_not_logged(lines: io.StringIO) -> None:
    try:
        fail("")
    except RuntimeError:
        logging.getLogger("somewhere").exception("It broke.")
    (line,) = read(lines)
    assert line["message"] == "It broke."
    assert line["error"].startswith("RuntimeError at")
    assert "diary" not in lines.getvalue()


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/", "/"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/responses/resp_1/input_items", "/v1/responses/*/input_items"),
        ("/v1/models/my diary", "/v1/models/*"),
        ("/gradio_api/heartbeat/abc", "/gradio_api/heartbeat/*"),
        ("/my/diary", "/*/*"),
    ],
)
def test_of_a_path_only_our_own_words_are_logged(path: str, logged: str) -> None:
    assert shown(path) == logged


@given(st.text())
def test_a_line_is_one_line_of_json_whatever_is_in_it(text: str) -> None:
    record = logging.LogRecord("chat", logging.ERROR, "", 0, "%s", (text,), None)
    line = Json().format(record)
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line)["message"] == text


def test_as_text_a_message_names_its_request() -> None:
    record = logging.LogRecord("chat", logging.ERROR, "", 0, "It broke.", (), None)
    assert Text().format(record) == "It broke."
    token = logs.request_id.set("mine")
    assert Text().format(record) == "It broke. (request mine)"
    logs.request_id.reset(token)


def test_what_the_server_itself_logs_comes_in_the_same_format(
    serve: Serve, lines: io.StringIO
) -> None:
    uvicorn = logging.getLogger("uvicorn")
    before, propagates = uvicorn.handlers[:], uvicorn.propagate
    try:
        serve(ScriptedEngine(), log_format="json")
        logging.getLogger("uvicorn.error").error("It broke.")
        assert read(lines, message="It broke.", level="ERROR")
    finally:
        uvicorn.handlers[:], uvicorn.propagate = before, propagates


@pytest.mark.parametrize("format", [Json(), Text()])
async def test_an_exception_that_nobody_waited_for_is_not_quoted(
    format: logging.Formatter,
) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(format)
    logger = logging.getLogger("asyncio")
    logger.addHandler(handler)
    loop = asyncio.get_running_loop()
    task = loop.create_task(asyncio.to_thread(fail, ""))
    await asyncio.wait([task])
    loop.call_exception_handler(
        {"message": "It ended", "exception": task.exception(), "future": task}
    )
    logger.removeHandler(handler)
    assert "It ended" in written.getvalue()
    assert "RuntimeError at" in written.getvalue()
    assert "my diary" not in written.getvalue()


def test_what_the_server_says_of_an_error_quotes_nobody_either(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    serve(ScriptedEngine(), log_format="text")
    try:
        raise ValueError("yraid ym"[::-1])
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    printed = capfd.readouterr()
    assert "diary" not in printed.out + printed.err
