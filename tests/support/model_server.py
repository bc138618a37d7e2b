"""A server at a port of this machine that speaks vLLM's dialect, with any engine behind it."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from chat.core.engine import Engine, Scored
from chat.core.sampling import Sampling
from chat.errors import EngineError
from tests.support.ports import free_port

#: The controls by their names in a request.
NAMES = {
    "max_tokens": "max_new_tokens",
    "min_tokens": "min_new_tokens",
    **dict.fromkeys(("temperature", "top_p", "top_k", "min_p", "seed", "guidance_scale"), ""),
    **dict.fromkeys(("repetition_penalty", "presence_penalty", "frequency_penalty"), ""),
    "logit_bias": "",
}


class Running:
    """A web server in a thread, from when it is made until it is stopped."""

    def __init__(self, app: Any, port: int = 0) -> None:
        port = port or free_port()
        config = uvicorn.Config(
            app, "127.0.0.1", port, log_level="critical", timeout_graceful_shutdown=1
        )
        self.url = f"http://127.0.0.1:{port}"
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            threading.Event().wait(0.01)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


class ModelServer:
    """Answers as `python -m chat.backend` does, but for the ways in which it was told to fail."""

    def __init__(
        self, engine: Engine, tokenizer: Any = None, owned_by: str = "fourbit", **facts: Any
    ) -> None:
        self.engine = engine
        self.tokenizer = tokenizer
        self.facts = {"owned_by": owned_by, "max_model_len": engine.window, **facts}
        #: What was asked for, and by which conversation.
        self.asked: list[dict[str, Any]] = []
        self.sessions: list[str | None] = []
        #: How many are answered now.
        self.active = 0
        #: What becomes of the next requests, one each; then all are answered.
        self.next: list[Callable[[AsyncGenerator[bytes]], Response | AsyncGenerator[bytes]]] = []
        routes = [
            Route("/v1/models", self._models),
            Route("/v1/completions", self._completions, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes)

    async def _models(self, request: Request) -> Response:
        own = {"supports": sorted(self.engine.supports), "stop_token_ids": [], "generation": {}}
        model = {"id": "tiny", "object": "model", "root": "tiny", **own, **self.facts}
        return JSONResponse({"object": "list", "data": [model]})

    async def _completions(self, request: Request) -> Response:
        body = await request.json()
        if isinstance(body["prompt"], str):
            ids = self.tokenizer(body["prompt"], add_special_tokens=False)["input_ids"]
            choice = {"index": 0, "text": "", "token_ids": [5], "prompt_token_ids": ids}
            return JSONResponse({"choices": [{**choice, "finish_reason": "length"}]})
        self.asked.append(body)
        self.sessions.append(request.headers.get("x-session-id"))
        events: Any = self._events(body)
        if self.next:
            events = self.next.pop(0)(events)
        if isinstance(events, Response):
            return events
        return StreamingResponse(events, media_type="text/event-stream")

    async def _events(self, body: dict[str, Any]) -> AsyncGenerator[bytes]:
        given = {NAMES[name] or name: body[name] for name in NAMES if name in body}
        tied = body.get("structured_outputs", {})
        given |= {name: tied[old] for old, name in TIES.items() if old in tied}
        if not isinstance(given.get("json_schema", ""), str):
            given["json_schema"] = json.dumps(given["json_schema"])
        if "logprobs" in body:
            given |= {"logprobs": True, "top_logprobs": body["logprobs"]}
        negative = body.get("negative_prompt_ids", [])
        if negative:
            given["negative_prompt"] = "away"
        sampling = Sampling.checked(**given)
        self.active += 1
        try:
            batches = self.engine.generate(body["prompt"], sampling, negative)
            written, stops = 0, {*body["stop_token_ids"]}
            async with aclosing(batches):
                async for ids in batches:
                    if not ids:
                        yield b": nothing yet\n\n"
                        continue
                    written += len(ids)
                    reason = "length" if written == sampling.max_new_tokens else None
                    yield event(ids, "stop" if stops & {*ids} else reason)
            yield b"data: [DONE]\n\n"
        except EngineError as error:
            yield b"data: " + json.dumps({"error": {"message": str(error), "code": 500}}).encode()
            yield b"\n\n"
        finally:
            self.active -= 1


TIES = {"choice": "choices", "regex": "regex", "json": "json_schema"}


def event(ids: list[int], reason: str | None = None) -> bytes:
    """Return an event with ids, and how likely they were if that is known."""
    choice: dict[str, Any] = {"index": 0, "text": "", "token_ids": [*map(int, ids)]}
    if isinstance(ids[0], Scored):
        scored = [id for id in ids if isinstance(id, Scored)]
        choice["logprobs"] = {
            "token_logprobs": [id.logprob for id in scored],
            "top": [id.top for id in scored],
        }
    body = {"object": "text_completion", "choices": [{**choice, "finish_reason": reason}]}
    return f"data: {json.dumps(body)}\n\n".encode()


async def silent() -> AsyncGenerator[bytes]:
    """Give nothing, until it is closed."""
    await asyncio.Event().wait()
    yield b""
