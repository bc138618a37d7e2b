"""The page as its API clients see it: over HTTP, around a scripted engine."""

import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from chat.errors import EngineError
from prompts import Message, Piece
from tests.conftest import Serve, serving
from tests.support.fakes import ScriptedEngine, ThinkingFormat, echo
from tests.support.waiting import until

SETTINGS = {
    "system_prompt": "",
    "max_new_tokens": 300,
    "temperature": 0.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "seed": 0,
    "thinking": "auto",
    "thinking_budget": 0,
    "min_new_tokens": 0,
    "stop": "",
    "choices": "",
    "regex": "",
    "json_schema": "",
    "negative_prompt": "",
    "guidance_scale": 1.0,
    "adapter": "",
    "num_beams": 1,
}
#: Any whole number is a seed, and of a length the window takes what it has room for.
ENDLESS = ("seed", "max_new_tokens", "thinking_budget")
BELOW_ZERO = ("seed", "presence_penalty", "frequency_penalty")
NUMBERS = [
    name for name, value in SETTINGS.items() if not isinstance(value, str) and name != "num_beams"
]


def connect(url: str) -> Client:
    return Client(url, verbose=False, analytics_enabled=False)


def ask(url: str, message: str, **settings: Any) -> tuple[str, str]:
    return connect(url).predict(message, **{**SETTINGS, **settings}, api_name="/chat")


def join(url: str, message: str, session: str, **settings: Any) -> None:
    """Ask as a browser does, without listening yet."""
    config = httpx.get(f"{url}config").json()
    fn_index = next(d["id"] for d in config["dependencies"] if d["api_name"] == "chat")
    data = [message, None, *{**SETTINGS, **settings}.values()]
    body = json.dumps({"data": data, "fn_index": fn_index, "session_hash": session})
    headers = {"content-type": "application/json"}
    httpx.post(f"{url}gradio_api/queue/join", content=body, headers=headers).raise_for_status()


def listen(url: str, session: str) -> Iterator[dict[str, Any]]:
    """Yield what the server sends to a session, until closed."""
    address = f"{url}gradio_api/queue/data?session_hash={session}"
    with httpx.stream("GET", address, timeout=30) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def test_the_first_output_is_the_reply_so_far(serve: Serve) -> None:
    job = connect(serve(ScriptedEngine(pace=0.05))).submit("hello", **SETTINGS, api_name="/chat")
    replies = [reply for reply, _ in job]
    assert replies[-1] == "You said: hello"
    assert all(later.startswith(earlier) for earlier, later in pairwise(replies))
    assert len(set(replies)) > 3  # and not all at once, however busy the machine is


def test_a_client_has_a_conversation(serve: Serve) -> None:
    engine = ScriptedEngine()
    client = connect(serve(engine))
    for message in ("first", "second"):
        client.predict(message, **SETTINGS, api_name="/chat")
    assert "user: first" in engine.prompts[1]
    assert "assistant: You said: first" in engine.prompts[1]


class Thoughtful(ThinkingFormat):
    """Has what was thought in later prompts."""

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        said = [one._replace(content=f"({one.thought}) {one.content}") for one in messages]
        return super().pieces(said)


def test_a_client_gets_the_reply_alone_and_the_conversation_keeps_the_thought(serve: Serve) -> None:
    engine = ScriptedEngine(lambda prompt: "<think>\nHm.\n</think>\n\nHello")
    client = connect(serve(engine, format=Thoughtful()))
    reply, line = client.predict("Hi", **SETTINGS, api_name="/chat")
    assert reply == "Hello"
    assert line.startswith("Finished: ")
    cut = {**SETTINGS, "max_new_tokens": 10}
    reply, line = client.predict("Cut", **cut, api_name="/chat")
    assert (reply, line.partition(":")[0]) == ("", "Cut off at the length limit")
    client.predict("More", **SETTINGS, api_name="/chat")
    assert "assistant: (Hm.) Hello" in engine.prompts[-1]
    assert "user: () Cut\0assistant: (Hm) \0user: () More" in engine.prompts[-1]


def test_the_system_prompt_and_the_settings_reach_the_engine(serve: Serve) -> None:
    engine = ScriptedEngine()
    ask(serve(engine), "hi", system_prompt="Rhyme.", top_k=7, temperature=0.5)
    assert engine.prompts[0].startswith("system: Rhyme.")
    assert (engine.samplings[0].top_k, engine.samplings[0].temperature) == (7, 0.5)


@pytest.fixture(scope="module")
def refusing() -> Iterator[tuple[str, ScriptedEngine]]:
    """One server for many refusals."""
    engine = ScriptedEngine()
    with serving() as serve:
        yield serve(engine), engine


def refusal(url: str, message: str = "hi", **settings: Any) -> str:
    """Return the error that a request ends in; NaN goes out as JavaScript writes it."""
    session = f"session {time.monotonic_ns()}"
    join(url, message, session, **settings)
    for event in listen(url, session):
        if event["msg"] == "process_completed":
            assert not event["success"]
            return str(event["output"]["error"])
    raise AssertionError("the stream ended without an answer")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, "5", [], 1e10, -2])
@pytest.mark.parametrize("name", NUMBERS)
def test_an_unusable_setting_is_refused_by_name_and_never_generates(
    refusing: tuple[str, ScriptedEngine], name: str, value: Any
) -> None:
    url, engine = refusing
    if (name in ENDLESS and value == 1e10) or (name in BELOW_ZERO and value == -2):
        pytest.skip("that is one")
    title = name.replace("_", " ")
    for letter in "pk":
        title = title.replace(f"top {letter}", f"top-{letter}").replace("min p", "min-p")
    assert refusal(url, **{name: value}).lower().startswith(f"{title} must be")
    assert engine.prompts == []


@pytest.mark.parametrize("name", ["max_new_tokens", "top_k", "seed"])
def test_a_fraction_is_no_whole_number(refusing: tuple[str, ScriptedEngine], name: str) -> None:
    assert "must be a whole number" in refusal(refusing[0], **{name: 2.5})
    assert refusing[1].prompts == []


@pytest.mark.parametrize("message", ["", " \n ", "\x00"])
def test_an_empty_message_is_refused(refusing: tuple[str, ScriptedEngine], message: str) -> None:
    assert "write a message" in refusal(refusing[0], message)
    assert refusing[1].prompts == []


def test_a_message_of_200000_characters_is_refused_with_its_size_at_once(
    refusing: tuple[str, ScriptedEngine],
) -> None:
    start = time.process_time()
    assert "200,000 characters; the limit is 16,000" in refusal(refusing[0], "x" * 200_000)
    assert time.process_time() - start < 2


def test_a_refused_message_leaves_no_trace_in_the_conversation(serve: Serve) -> None:
    engine = ScriptedEngine()
    client = connect(serve(engine))
    client.predict("first", **SETTINGS, api_name="/chat")
    with pytest.raises(AppError):
        client.predict("refused", **{**SETTINGS, "top_k": -2}, api_name="/chat")
    engine.script = fail_with(EngineError("Out of order."))
    with pytest.raises(AppError):
        client.predict("failed", **SETTINGS, api_name="/chat")
    engine.script = echo
    client.predict("second", **SETTINGS, api_name="/chat")
    assert "first" in engine.prompts[-1]
    assert "refused" not in engine.prompts[-1]
    assert "failed" not in engine.prompts[-1]


def test_8_clients_at_once_each_get_their_own_reply_whole(serve: Serve) -> None:
    engine = ScriptedEngine(lambda prompt: echo(prompt) * 5, pace=0.002)
    url = serve(engine)

    def work(nonce: int) -> str:
        return ask(url, f"nonce {nonce} {nonce}")[0]

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(work, range(8)))
    assert replies == [f"You said: nonce {n} {n}" * 5 for n in range(8)]
    assert engine.most_active == 1


def test_waiting_clients_see_their_place_and_a_full_queue_says_so(serve: Serve) -> None:
    release = threading.Event()

    def hold(prompt: str) -> str:
        return "done" if release.is_set() else "x" * 300

    engine = ScriptedEngine(hold, pace=0.02)
    url = serve(engine, max_waiting=2)
    jobs = []
    for number in range(3):
        jobs.append(connect(url).submit("hi", **SETTINGS, api_name="/chat"))
        until(lambda job=jobs[-1]: len(job.outputs()) > 0)
        if number:
            assert "Waiting: " + ("1 person is" if number == 1 else "2 people are") in str(
                jobs[-1].outputs()
            )
    with pytest.raises(AppError, match="queue is full"):
        ask(url, "one too many")
    release.set()
    jobs[0].cancel()
    assert [job.result(timeout=20)[0] for job in jobs[1:]] == ["done", "done"]
    assert engine.most_active == 1


def test_an_api_clients_cancel_ends_the_generation(serve: Serve) -> None:
    engine = ScriptedEngine(lambda prompt: "x" * 250, pace=0.05)
    url = serve(engine)
    job = connect(url).submit("hi", **SETTINGS, api_name="/chat")
    until(lambda: engine.given > 3)
    job.cancel()
    until(lambda: engine.active == 0)
    assert engine.given < 250
    engine.script = echo
    engine.pace = 0
    assert ask(url, "next")[0] == "You said: next"


@pytest.mark.parametrize("reading", [0.0, 60.0])
def test_a_closed_connection_frees_the_model(serve: Serve, reading: float) -> None:
    engine = ScriptedEngine(lambda prompt: "x" * 250, pace=0.1, reading=reading)
    url = serve(engine)
    join(url, "hi", "tab")
    for message in listen(url, "tab"):
        if message["msg"] == "process_generating" and engine.active:
            break
    until(lambda: engine.active == 0)
    assert engine.given < 250


def test_a_client_that_never_listens_does_not_keep_the_model(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat.web.page.ask.UNREAD", 20)
    engine = ScriptedEngine(lambda prompt: "x" * 299, pace=0.05)
    url = serve(engine)
    join(url, "hi", "ghost")
    until(lambda: engine.active == 1)
    until(lambda: engine.active == 0)
    assert engine.given < 200


def test_who_leaves_the_line_is_not_answered(serve: Serve) -> None:
    engine = ScriptedEngine(lambda prompt: "x" * 250, pace=0.2)
    url = serve(engine)
    first = connect(url).submit("first", **SETTINGS, api_name="/chat")
    until(lambda: engine.active == 1)
    join(url, "leaves", "tab")
    for message in listen(url, "tab"):
        if "Waiting" in json.dumps(message):
            break
    engine.script = echo
    third = connect(url).submit("third", **SETTINGS, api_name="/chat")
    until(lambda: "2 people" in str(third.outputs()))
    until(lambda: "1 person" in str(third.outputs()[-1]))
    first.cancel()
    assert third.result(timeout=10)[0] == "You said: third"
    assert not any("leaves" in prompt for prompt in engine.prompts)


def test_an_error_reaches_the_client_as_one_sentence_and_the_next_message_works(
    serve: Serve,
) -> None:
    engine = ScriptedEngine(fail_with(EngineError("The model is tired. Please try again.")))
    url = serve(engine)
    start = time.monotonic()
    with pytest.raises(AppError, match=r"^'?The model is tired\. Please try again\.'?$"):
        ask(url, "hi")
    assert time.monotonic() - start < 20
    engine.script = echo
    assert ask(url, "again")[0] == "You said: again"


def test_an_error_on_the_way_keeps_what_was_said(serve: Serve) -> None:
    engine = ScriptedEngine(fail_with(EngineError("Tired.")), partly="partial words")
    client = connect(serve(engine))
    job = client.submit("first", **SETTINGS, api_name="/chat")
    with pytest.raises(AppError, match="Tired"):
        job.result(timeout=20)
    assert job.outputs()[-1][0] == "partial words"
    engine.script, engine.partly = echo, ""
    client.predict("second", **SETTINGS, api_name="/chat")
    assert "user: first" in engine.prompts[-1]
    assert "assistant: partial words" in engine.prompts[-1]


@pytest.mark.parametrize("data", [["my diary"], [{"my diary": [["my diary"]]}, {"my diary": 1}]])
def test_a_request_that_cannot_be_read_gets_a_sentence_and_stays_out_of_the_log(
    serve: Serve, data: Any, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    url = serve(ScriptedEngine())
    events = httpx.get(f"{url}config").json()["dependencies"]
    queued = next(one["id"] for one in events if one["queue"] and one["backend_fn"])
    body = {"data": data, "fn_index": 0 if len(data) > 1 else queued, "session_hash": "odd"}
    if len(data) > 1:
        answer = httpx.post(f"{url}gradio_api/run/predict", json=body).text
    else:
        httpx.post(f"{url}gradio_api/queue/join", json=body).raise_for_status()
        answer = json.dumps(next(e for e in listen(url, "odd") if e["msg"] == "process_completed"))
    printed = capfd.readouterr()
    assert "could not be read" in answer
    assert "diary" not in caplog.text + printed.out + printed.err + answer


def test_an_unforeseen_error_shows_neither_its_text_nor_a_traceback(
    serve: Serve, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    url = serve(ScriptedEngine(fail_with(RuntimeError("at /home/secret: my diary"))))
    with pytest.raises(AppError, match="Something went wrong") as caught:
        ask(url, "my diary")
    printed = capfd.readouterr()
    assert "diary" not in str(caught.value) + caplog.text + printed.out + printed.err
    assert "RuntimeError" in caplog.text


def fail_with(error: Exception) -> Callable[[str], str]:
    def script(prompt: str) -> str:
        raise error

    return script


def test_the_page_loads_at_once_while_a_reply_streams(serve: Serve) -> None:
    engine = ScriptedEngine(lambda prompt: "x" * 250, pace=0.1)
    url = serve(engine)
    job = connect(url).submit("hi", **SETTINGS, api_name="/chat")
    until(lambda: engine.given > 3)
    start = time.monotonic()
    assert httpx.get(url).status_code == 200
    assert time.monotonic() - start < 10
    assert engine.active == 1
    job.cancel()


def test_nothing_is_public_telemetry_is_off_and_the_queue_cannot_be_bypassed(serve: Serve) -> None:
    url = serve(ScriptedEngine())
    config = httpx.get(f"{url}config").json()
    assert url.startswith("http://127.0.0.1:")
    assert not config["analytics_enabled"]
    assert not config["run_history"]
    assert httpx.post(f"{url}gradio_api/run/chat", json={"data": ["hi"]}).status_code >= 400


def test_only_chat_is_in_the_public_api(serve: Serve) -> None:
    endpoints = connect(serve(ScriptedEngine())).view_api(return_format="dict")
    assert list(endpoints["named_endpoints"]) == ["/chat"]
    parameters = endpoints["named_endpoints"]["/chat"]["parameters"]
    assert [p["parameter_name"] for p in parameters] == ["message", *SETTINGS]


def test_a_login_is_asked_for_when_one_is_set(serve: Serve) -> None:
    url = serve(ScriptedEngine(), auth="ann:secret")
    assert httpx.get(f"{url}config").status_code == 401
    client = Client(url, auth=("ann", "secret"), verbose=False, analytics_enabled=False)
    assert client.predict("hi", **SETTINGS, api_name="/chat")[0] == "You said: hi"
