"""Which server there is, and whether its tokens are ours."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from transformers import PreTrainedTokenizerFast

from chat.core.sampling import OPTIONAL, Sampling
from chat.engines.server import probe
from chat.engines.server.connection import Connection
from chat.engines.server.dialect import Asked
from chat.engines.server.vllm import VLLM, Ours, SGLang
from chat.errors import ModelError
from tests.support.model_server import Running
from tests.support.ports import free_port
from tests.support.tiny import chatml_tokenizer, llama2_tokenizer, llama3_tokenizer

Start = Callable[..., Connection]
TOKENIZER = chatml_tokenizer()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no server."""
    monkeypatch.setattr(probe, "PATIENCE", 0)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a server that lists `models`, and that answers a text as `completes` does."""
    all_running: list[Running] = []

    def run(completes: Callable[[dict[str, Any]], Response], *models: Any) -> Connection:
        async def listed(request: Request) -> Response:
            return JSONResponse({"object": "list", "data": list(models)})

        async def completions(request: Request) -> Response:
            return completes(await request.json())

        routes = [
            Route("/v1/models", listed),
            Route("/v1/completions", completions, methods=["POST"]),
        ]
        all_running.append(Running(Starlette(routes=routes)))
        return Connection(all_running[-1].url)

    yield run
    for running in all_running:
        running.stop()


def encoding(
    tokenizer: PreTrainedTokenizerFast, *, adds: bool = False
) -> Callable[[dict[str, Any]], Response]:
    """Answer with the ids of the prompt by a tokenizer, as all dialects do."""

    def answer(body: dict[str, Any]) -> Response:
        assert (body["max_tokens"], body["return_token_ids"]) == (1, True)
        ids = tokenizer.backend_tokenizer.encode(body["prompt"], add_special_tokens=adds).ids
        return chosen(token_ids=[5], prompt_token_ids=ids)

    return answer


def chosen(status: int = 200, **choice: Any) -> Response:
    return JSONResponse({"choices": [{"index": 0, "text": "a", **choice}]}, status)


def model(owned_by: str, **more: Any) -> dict[str, Any]:
    return {"id": "m", "object": "model", "owned_by": owned_by, "max_model_len": 500, **more}


@pytest.mark.parametrize(
    ("owned_by", "kind"), [("vllm", VLLM), ("sglang", SGLang), ("fourbit", Ours)]
)
def test_a_server_is_known_by_what_it_says_and_proved_by_its_tokens(
    start: Start, owned_by: str, kind: type
) -> None:
    way = start(encoding(TOKENIZER), model(owned_by, root="owner/name"))
    found = probe.served(way)
    assert (found.model, found.root, found.window) == ("m", "owner/name", 500)
    assert type(probe.dialect(way, found, TOKENIZER)) is kind
    with pytest.raises(ModelError, match="tokenizer is not that of the model"):
        probe.dialect(way, found, llama3_tokenizer())


@pytest.mark.parametrize("takes", [True, False])
def test_vllm_gets_a_schema_as_a_grammar_of_ours_if_it_takes_grammars(
    start: Start, *, takes: bool
) -> None:
    usual = encoding(TOKENIZER)

    def answer(body: dict[str, Any]) -> Response:
        refused = "structured_outputs" in body and not takes
        return chosen(400) if refused else usual(body)

    way = start(answer, model("vllm"))
    found = probe.dialect(way, probe.served(way), TOKENIZER)
    sampling = Sampling(json_schema='{"type": "integer"}')
    ties = found.body(Asked("m", [1], sampling, {2}))["structured_outputs"]
    assert ties == (
        {"grammar": sampling.grammar_to_fit} if takes else {"json": {"type": "integer"}}
    )


@pytest.mark.parametrize("owned_by", ["vllm", "fourbit"])
def test_one_that_adds_to_a_prompt_is_refused_and_sglang_does_so(
    start: Start, owned_by: str
) -> None:
    tokenizer = llama2_tokenizer()
    way = start(encoding(tokenizer, adds=True), model(owned_by))
    with pytest.raises(ModelError, match="tokenizer is not"):
        probe.dialect(way, probe.served(way), tokenizer)
    way = start(encoding(tokenizer, adds=True), model("sglang"))
    assert isinstance(probe.dialect(way, probe.served(way), tokenizer), SGLang)


def test_vllm_is_told_to_add_nothing_and_ours_is_told_nothing_that_it_does_not_know(
    start: Start,
) -> None:
    tokenizer = llama2_tokenizer()

    def vllm(body: dict[str, Any]) -> Response:
        return encoding(tokenizer, adds=body.get("add_special_tokens", True))(body)

    def ours(body: dict[str, Any]) -> Response:
        assert body.keys() == {"model", "prompt", "max_tokens", "return_token_ids"}
        return encoding(tokenizer)(body)

    for answer, owned_by in ((vllm, "vllm"), (ours, "fourbit")):
        way = start(answer, model(owned_by))
        probe.dialect(way, probe.served(way), tokenizer)


def test_all_control_tokens_are_asked_about(start: Start) -> None:
    """One that is another there is all that may differ."""
    other = json.loads(TOKENIZER.backend_tokenizer.to_str())
    last = max(other["added_tokens"], key=lambda token: token["id"])
    last["content"] = f"{last['content']}?"
    del other["model"]["vocab"]
    state = json.loads(TOKENIZER.backend_tokenizer.to_str())
    state["added_tokens"] = other["added_tokens"]
    theirs = PreTrainedTokenizerFast(
        tokenizer_object=type(TOKENIZER.backend_tokenizer).from_str(json.dumps(state))
    )
    way = start(encoding(theirs), model("vllm"))
    with pytest.raises(ModelError, match="tokenizer is not"):
        probe.dialect(way, probe.served(way), TOKENIZER)


def test_a_small_window_is_asked_for_less(start: Start) -> None:
    asked: list[str] = []

    def answer(body: dict[str, Any]) -> Response:
        asked.append(body["prompt"])
        return encoding(TOKENIZER)(body)

    way = start(answer, model("vllm", max_model_len=100))
    probe.dialect(way, probe.served(way), TOKENIZER)
    assert len(TOKENIZER(asked[0])["input_ids"]) < 100


@pytest.mark.parametrize(
    "answer",
    [
        lambda body: chosen(),
        lambda body: chosen(token_ids=[5]),
        lambda body: chosen(prompt_token_ids=[5]),
        lambda body: JSONResponse({}),
        lambda body: JSONResponse([1]),
        lambda body: Response(b"<html>"),
    ],
)
def test_one_that_gives_no_ids_is_refused(start: Start, answer: Any) -> None:
    way = start(answer, model("vllm"))
    with pytest.raises(ModelError, match="gives no token ids"):
        probe.dialect(way, probe.served(way), TOKENIZER)


def test_one_that_nobody_knows_is_refused(start: Start) -> None:
    way = start(encoding(TOKENIZER), model("somebody"))
    with pytest.raises(ModelError, match="not known what kind of server"):
        probe.served(way)
    way = start(lambda body: chosen(), model("somebody"))
    with pytest.raises(ModelError, match="gives no token ids"):
        probe.served(way)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "does not accept the key"),
        (400, "refuses a short prompt .HTTP 400"),
        (503, "starting"),
    ],
)
def test_what_a_server_refuses_at_the_start_is_told(
    start: Start, status: int, sentence: str
) -> None:
    way = start(lambda body: chosen(status), model("vllm"))
    with pytest.raises(ModelError, match=sentence):
        probe.dialect(way, probe.served(way), TOKENIZER)


@pytest.mark.parametrize("models", [(), (5,), ({"id": 5},), ({"id": "a", "parent": "b"},)])
def test_one_without_a_model_is_refused(start: Start, models: Any) -> None:
    with pytest.raises(ModelError, match="lists no model"):
        probe.served(start(encoding(TOKENIZER), *models))


def test_one_that_is_not_there_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(probe, "LOOK", 0.01)
    monkeypatch.setattr(probe, "PATIENCE", 0.1)
    way = Connection(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ModelError, match="cannot be reached, or is still starting"):
        probe.served(way)
    assert capsys.readouterr().out.count("Waiting for the server at http://127.0.0.1:") == 1


def test_adapters_are_the_models_of_a_model(start: Start) -> None:
    adapters = [model("fourbit", id=f"m:{name}", parent="m") for name in ("tales", "none")]
    own = {"supports": ["regex", "more"], "stop_token_ids": [7], "generation": {"top_k": 3}}
    found = probe.served(start(encoding(TOKENIZER), model("fourbit", **own), *adapters))
    assert found.adapters == {"tales": "m:tales", "none": "m:none"}
    assert found.supports == {"regex"} < set(OPTIONAL)
    assert (found.stop_ids, found.generation) == ({7}, {"top_k": 3})
    loras = [model("vllm", id="sql", parent="m")]
    found = probe.served(start(encoding(TOKENIZER), *loras, model("vllm", **own)))
    assert found.adapters == {"none": "m", "sql": "sql"}
    assert (found.supports, found.stop_ids, found.generation) == (set(), set(), {})


def test_the_server_of_transformers_is_refused(tmp_path: Path) -> None:
    """The real one, which takes no fields that it does not know."""
    folder = tmp_path / "hub" / "models--owner--tiny"
    for name in ("refs", "blobs", "snapshots/1"):
        (folder / name).mkdir(parents=True)
    (folder / "refs" / "main").write_text("1")
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    (folder / "snapshots" / "1" / "config.json").write_text(json.dumps(config))
    port = free_port()
    program = [str(Path(sys.executable).with_name("transformers")), "serve", "--port", str(port)]
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub")}
    serving = subprocess.Popen(
        program, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    way = Connection(f"http://127.0.0.1:{port}")
    try:
        _wait(way, serving)
        with pytest.raises(ModelError, match="gives no token ids"):
            probe.served(way)
    finally:
        serving.kill()
        serving.wait()


def _wait(way: Connection, serving: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert serving.poll() is None
        try:
            if way.ask("/health")[0] == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    raise AssertionError("it does not start")


@pytest.mark.parametrize(
    "answered", [b"[" * 100_000, b"\xff", b"", b'{"data": 5}', b'{"data": {"a": 1}}', b"[1]", b"5"]
)
def test_what_answers_with_something_else_is_refused(answered: bytes) -> None:
    running = Running(Response(answered, media_type="application/json"))
    with pytest.raises(ModelError, match=r"lists no model \(HTTP 200\)"):
        probe.served(Connection(running.url))
    running.stop()


def test_an_answer_that_cannot_be_unpacked_is_none() -> None:
    running = Running(Response(b"no gzip", headers={"content-encoding": "gzip"}))
    assert Connection(running.url).ask("/v1/models") == (200, None)
    running.stop()


def test_facts_in_which_there_is_no_sense_are_left_out(start: Start) -> None:
    facts = dict.fromkeys(("supports", "stop_token_ids", "generation", "root", "parent"), 5)
    way = start(encoding(TOKENIZER), model("fourbit", **facts) | {"max_model_len": True})
    found = probe.served(way)
    assert (found.supports, found.stop_ids, found.generation) == (set(), set(), {})
    assert (found.root, found.window) == ("", sys.maxsize)


def test_a_window_with_no_room_for_control_tokens_is_none_too_small(start: Start) -> None:
    tokenizer, asked = chatml_tokenizer(), list[str]()
    tokenizer.add_tokens([f"<|{number}|>" for number in range(30)], special_tokens=True)

    def answer(body: dict[str, Any]) -> Response:
        asked.append(body["prompt"])
        return encoding(tokenizer)(body)

    way = start(answer, model("fourbit") | {"max_model_len": 64})
    probe.dialect(way, probe.served(way), tokenizer)
    assert asked == [probe.SENTENCE]


@pytest.mark.parametrize("owned_by", ["vllm", "sglang", "fourbit"])
def test_of_several_models_it_is_the_one_of_the_start_in_any_order(
    owned_by: str, start: Start
) -> None:
    """A router lists those that are there; one that is not is refused by the server, or not."""
    way = start(encoding(TOKENIZER), model(owned_by))
    same = probe.Same(way, probe.served(way), TOKENIZER)
    other = {**model(owned_by), "id": "other"}
    way.url = start(encoding(TOKENIZER), other, model(owned_by)).url
    assert same(doubted=True) is True
    way.url = start(encoding(TOKENIZER), other).url
    if owned_by == "sglang":
        assert same(doubted=False) is False
    else:
        with pytest.raises(probe.Away, match="does not list the model"):
            same(doubted=False)


def test_another_kind_of_server_is_another_one(start: Start) -> None:
    way = start(encoding(TOKENIZER), model("vllm"))
    same = probe.Same(way, probe.served(way), TOKENIZER)
    way.url = start(encoding(TOKENIZER), model("sglang")).url
    assert same(doubted=False) is False


def test_who_takes_no_prompt_now_leaves_it_open(start: Start) -> None:
    answers = [encoding(TOKENIZER), lambda body: chosen(429)]
    way = start(lambda body: answers[0](body), model("vllm"))
    same = probe.Same(way, probe.served(way), TOKENIZER)
    assert same(doubted=True) is True
    answers.reverse()
    assert same(doubted=True) is None
    assert same(doubted=False) is True
