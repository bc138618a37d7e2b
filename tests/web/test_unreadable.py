"""chat.web.unreadable: what Gradio fails at is refused, and stays out of the log."""

import logging

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from chat.errors import UNREADABLE
from chat.web.unreadable import Unreadable
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine

ODD = [
    b'{"data": "\\ud800my diary"}',
    b'"\\ud800my diary"',
    b'{"n": 1e999, "my diary": 1}',
    b'{"\xe9"}',
]


@pytest.mark.parametrize("body", ODD)
@pytest.mark.parametrize("path", ["queue/join", "cancel", "call/chat", "call/none", "run/predict"])
def test_what_no_page_sends_is_refused_and_nothing_of_it_is_logged(
    serve: Serve,
    path: str,
    body: bytes,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = serve(ScriptedEngine())
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(f"{url}gradio_api/{path}", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    printed = capfd.readouterr()
    assert "diary" not in caplog.text + printed.out + printed.err
    assert "Traceback" not in caplog.text + printed.out + printed.err + answer.text


def test_what_a_control_does_not_offer_is_neither_logged_nor_printed(
    serve: Serve, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    url = serve(ScriptedEngine())
    events = httpx.get(f"{url}config").json()["dependencies"]
    for event in events:
        data = ["my diary"] * len(event["inputs"])
        body = {"data": data, "fn_index": event["id"], "session_hash": "odd"}
        httpx.post(f"{url}gradio_api/run/predict", json=body)
    printed = capfd.readouterr()
    assert "diary" not in caplog.text + printed.out + printed.err


@pytest.mark.parametrize("path", [f"static/{'a' * 5000}", "gradio_api/run/none%00"])
def test_an_address_that_nothing_can_be_at_is_no_fault_either(serve: Serve, path: str) -> None:
    url = serve(ScriptedEngine())
    for method in ("GET", "POST"):
        assert httpx.request(method, url + path, json={"data": []}).status_code < 500


@pytest.mark.parametrize("path", ["queue/join", "run/predict"])
def test_whose_login_has_ended_is_told_so(serve: Serve, path: str) -> None:
    url = serve(ScriptedEngine(), auth="ann:secret")
    answer = httpx.post(f"{url}gradio_api/{path}", json={"data": [], "fn_index": 0})
    assert answer.status_code == 401
    assert answer.json() == {"error": "Your login has ended. Please reload the page."}


def test_an_event_that_nobody_asked_for_ends_without_a_word_in_the_log(
    serve: Serve, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = httpx.get(f"{serve(ScriptedEngine())}gradio_api/call/chat/none")
    assert answer.status_code == 200
    assert answer.text.startswith("event: error\n")
    printed = capfd.readouterr()
    assert "Traceback" not in caplog.text + printed.out + printed.err


async def nothing() -> object:
    raise AssertionError("nobody reads")


async def test_an_error_before_the_answer_is_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("yraid ym"[::-1])  # as the log has lines of code

    sent: list[object] = []

    async def send(message: object) -> None:
        sent.append(message)

    with caplog.at_level(logging.ERROR):
        await Unreadable(app)({"type": "http"}, nothing, send)
    assert UNREADABLE in str(sent)
    assert "'status': 400" in str(sent)
    assert "ValueError at" in caplog.text
    assert "diary" not in caplog.text


@pytest.mark.parametrize("refused", [True, False])
async def test_in_its_midst_the_answer_ends_and_only_a_fault_is_logged(
    refused: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        raise RuntimeError("yraid ym"[::-1]) from (HTTPException(404) if refused else None)

    sent: list[object] = []

    async def send(message: object) -> None:
        sent.append(message)

    await Unreadable(app)({"type": "http"}, nothing, send)
    assert sent[1:] == [{"type": "http.response.body"}]
    assert ("RuntimeError at" in caplog.text) is not refused
    assert "diary" not in caplog.text
