"""llama.cpp's server: what is asked of it, and ids that it does not give.

The events are written after tools/server/server-task.cpp and server-context.cpp of llama.cpp.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from chat.core.sampling import Sampling
from chat.engines.server import probe
from chat.engines.server.connection import Connection
from chat.engines.server.dialect import Asked, Said
from chat.engines.server.engine import ServerEngine
from chat.engines.server.llama_cpp import LlamaCpp
from chat.errors import BadRequest, Broken, ModelError
from tests.support.batches import collect
from tests.support.model_server import Running
from tests.support.tiny import chatml_tokenizer

TOKENIZER = chatml_tokenizer()
BACKEND = TOKENIZER.backend_tokenizer
DIALECT = LlamaCpp(BACKEND, 4096)


def partial(content: str, tokens: list[int], predicted: int) -> dict[str, Any]:
    return {
        "index": 0,
        "content": content,
        "tokens": tokens,
        "stop": False,
        "id_slot": -1,
        "tokens_predicted": predicted,
        "tokens_evaluated": 12,
    }


def final(predicted: int, stop_type: str = "limit") -> dict[str, Any]:
    return partial("", [], predicted) | {"stop": True, "stop_type": stop_type, "truncated": False}


def streamed(ids: list[int]) -> list[dict[str, Any]]:
    """Return the events for ids, as `process_token` makes them: none within a character."""
    events, pending = [], b""
    for place, id in enumerate(ids, 1):
        pending += DIALECT._bytes.of(id) if BACKEND.id_to_token(id) else b""
        try:
            events.append(partial(pending.decode(), [id], place))
            pending = b""
        except UnicodeDecodeError:
            continue
    return [*events, final(len(ids))]


def test_ids_come_one_at_a_time_until_it_says_that_it_stops() -> None:
    read = DIALECT.reader(Sampling())
    assert read(partial("", [0], 0)) == Said([], ended=False), "before the first token"
    assert read(partial("Hi", [40], 1)) == Said([40], ended=False)
    assert read(partial("", [2], 2)) == Said([2], ended=False)
    assert read(final(2, "eos")) == Said([], ended=True)


@pytest.mark.parametrize(
    "text", ["plain", "Zürich, 東京 🙂🙃", "déjà vu 你好 Привет", "a🙂b", "🙂" * 5, "日本語"]
)
def test_ids_within_a_character_are_found_again(text: str) -> None:
    ids = BACKEND.encode(text, add_special_tokens=False).ids
    events = streamed(ids)
    if not text.isascii():
        assert len(events) - 1 < len(ids), "some are not given"
    read = DIALECT.reader(Sampling())
    found = [id for event in events for id in read(event).ids]
    assert found == ids


def test_ids_that_are_found_make_up_the_text_however_it_was_written() -> None:
    """Bytes one by one, as no tokenizer would write them."""
    letters = [BACKEND.encode(chr(byte), add_special_tokens=False).ids for byte in b"ab"]
    bytes_of = {DIALECT._bytes.of(id): id for id in range(BACKEND.get_vocab_size())}
    ids = letters[0] + [bytes_of[bytes([byte])] for byte in "é🙂".encode()] + letters[1]
    read = DIALECT.reader(Sampling())
    assert [id for event in streamed(ids) for id in read(event).ids] == ids


def test_what_cannot_be_found_breaks_the_reply_off() -> None:
    with pytest.raises(Broken):
        DIALECT.reader(Sampling())(partial("🙂", [40], 3))
    with pytest.raises(Broken):
        DIALECT.reader(Sampling())(partial("abcdefgh", [BACKEND.token_to_id("h")], 8))


def body(**given: Any) -> dict[str, Any]:
    return DIALECT.body(Asked("m", [1, 2], Sampling(**given), frozenset({9, 3})))


def test_every_control_is_sent_each_time_in_its_own_words() -> None:
    sent = body(seed=5, logit_bias={"7": 2}, repetition_penalty=1.2)
    assert sent["prompt"] == [1, 2]
    assert (sent["n_predict"], sent["seed"], sent["logit_bias"]) == (512, 5, [[7, 2.0]])
    assert (sent["repeat_penalty"], sent["repeat_last_n"]) == (1.2, 4096)
    assert sent["return_tokens"]
    assert sent["samplers"].index("temperature") < sent["samplers"].index("top_p")
    assert body()["seed"] == -1
    assert not {"stop_token_ids", "min_tokens", "structured_outputs"} & sent.keys()


def test_a_shortest_length_is_two_requests_of_which_the_first_does_not_end() -> None:
    first, rest = DIALECT.parts(Sampling(max_new_tokens=9, min_new_tokens=4, seed=1))
    assert (first.max_new_tokens, rest.max_new_tokens) == (4, 5)
    assert (rest.min_new_tokens, rest.seed) == (0, 5)
    sent = DIALECT.body(Asked("m", [1], first, frozenset({9, 3})))
    assert sent["logit_bias"] == [[3, False], [9, False]]
    assert sent["ignore_eos"]
    assert not DIALECT.body(Asked("m", [1], rest, frozenset({9})))["ignore_eos"]
    with pytest.raises(BadRequest, match="Min new tokens"):
        DIALECT.check(Sampling(min_new_tokens=1, regex="a"))


def test_what_a_reply_has_to_fit_is_a_grammar() -> None:
    assert body(choices=("a", '"\n'))["grammar"] == (
        r'root ::= "\U00000061" | "\U00000022\U0000000A"'
    )
    grammar = body(json_schema='{"type": "number"}')["grammar"]
    assert grammar.startswith("root ::= ")
    assert r"[+\U0000002D]" in grammar, "GBNF has no escape for a minus"
    assert DIALECT.supports == {"choices", "json_schema", "logit_bias"}


PROPS = {"default_generation_settings": {"n_ctx": 300}, "model_path": "/models/SmolLM2.Q4.gguf"}
PROPS |= {"total_slots": 3}
LISTED = {"object": "list", "data": [{"id": "a/b.gguf", "owned_by": "llamacpp", "meta": {}}]}


@pytest.fixture
def running() -> Iterator[tuple[Running, list[dict[str, Any]]]]:
    """A server that plays llama.cpp, and says a text; gives what it was asked."""
    asked: list[dict[str, Any]] = []

    async def models(request: Request) -> Response:
        return JSONResponse(LISTED)

    async def props(request: Request) -> Response:
        return JSONResponse(PROPS)

    async def tokenize(request: Request) -> Response:
        sent = await request.json()
        assert (sent["add_special"], sent["parse_special"]) == (False, True)
        return JSONResponse({"tokens": BACKEND.encode(sent["content"]).ids})

    async def completion(request: Request) -> Response:
        asked.append(await request.json())
        ids = BACKEND.encode("Zürich 🙂 and more", add_special_tokens=False).ids
        given = len(asked[-1]["prompt"]) - 2
        lines = [json.dumps(event) for event in streamed(ids[given:][: asked[-1]["n_predict"]])]
        return StreamingResponse(f"data: {line}\n\n" for line in lines)

    routes = [
        Route("/v1/models", models),
        Route("/props", props),
        Route("/tokenize", tokenize, methods=["POST"]),
        Route("/completion", completion, methods=["POST"]),
    ]
    running = Running(Starlette(routes=routes))
    yield running, asked
    running.stop()


async def test_a_server_of_its_kind_is_known_proved_and_asked(
    running: tuple[Running, list[dict[str, Any]]],
) -> None:
    server, asked = running
    way = Connection(server.url)
    found = probe.served(way)
    assert (found.kind, found.root, found.window) == ("llamacpp", "SmolLM2.Q4", 300)
    assert found.slots == 3, "whom it has no slot for it answers nothing, and is no fault of its"
    dialect = probe.dialect(way, found, TOKENIZER)
    same = probe.Same(way, found, TOKENIZER)
    engine = ServerEngine(way, dialect, found.model, {2}, found.window, 4, same)
    assert same(doubted=True) is True
    right = BACKEND.encode("Zürich 🙂 and more", add_special_tokens=False).ids
    sampling = Sampling(max_new_tokens=len(right), min_new_tokens=3)
    assert await collect(engine.generate([5, 6], sampling)) == right
    assert [one["n_predict"] for one in asked] == [3, len(right) - 3]
    engine.close()


def test_another_tokenizer_is_refused(running: tuple[Running, list[dict[str, Any]]]) -> None:
    from tests.support.tiny import llama3_tokenizer

    way = Connection(running[0].url)
    with pytest.raises(ModelError, match="tokenizer is not that of the model"):
        probe.dialect(way, probe.served(way), llama3_tokenizer())


def test_what_an_event_says_of_the_cache() -> None:
    read = DIALECT.reader(Sampling())
    assert read(partial("Hi", [40], 1) | {"timings": {"cache_n": 8, "prompt_n": 1}}).cached == 8
    assert read(final(1) | {"timings": {"cache_n": "8"}}).cached is None
