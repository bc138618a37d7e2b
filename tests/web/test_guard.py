"""chat.web.guard: doors of Gradio that stay shut, and how much a request may weigh."""

import httpx
import pytest

from chat.web.guard import MAX_BODY
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine


@pytest.mark.parametrize(
    ("method", "door"),
    [
        ("POST", "upload"),
        ("GET", "deep_link?session_hash=a"),
        ("POST", "process_recording"),
        ("POST", "vibe-edit"),
        ("POST", "component_server"),
    ],
)
def test_what_a_chat_does_not_need_is_shut(serve: Serve, method: str, door: str) -> None:
    url = serve(ScriptedEngine())
    answer = httpx.request(method, f"{url}gradio_api/{door}", files={"files": b"x"})
    assert (answer.status_code, answer.text) == (404, "There is nothing here.")


def test_a_request_that_weighs_too_much_is_refused_before_it_is_read_whole(serve: Serve) -> None:
    url = serve(ScriptedEngine())
    sent = 0

    def body() -> object:
        nonlocal sent
        for _ in range(1000):
            sent += 100_000
            yield b"x" * 100_000

    answer = httpx.post(f"{url}gradio_api/queue/join", content=body())
    assert (answer.status_code, answer.text) == (413, f"The limit is {MAX_BODY:,} bytes.")


def test_a_request_just_within_the_limit_is_passed_on_whole(serve: Serve) -> None:
    url = serve(ScriptedEngine())
    answer = httpx.post(f"{url}gradio_api/queue/join", content=b"{" + b" " * (MAX_BODY - 1))
    assert answer.status_code == 422  # read, and not JSON
