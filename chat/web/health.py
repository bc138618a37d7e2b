"""`GET /health`: whether the model can answer; `GET /live`: whether the server can.

Who gets no 200 from the first is to be left alone for a while, and from the second to be
started anew. They ask for no login, since those who watch have none, and tell nothing else.
"""

from typing import Literal

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from chat.core.engine import Engine, State
from chat.core.gate import Gate

#: Where they are.
PATHS = ("/health", "/live")
#: Seconds after which it is worth asking again.
RETRY = {"Retry-After": "2", "Cache-Control": "no-store"}


def answer(state: State | Literal["draining"]) -> JSONResponse:
    """Return `{"status": state}`, as 200 only if the model is ready."""
    if state == "ready":
        return JSONResponse({"status": state}, headers={"Cache-Control": "no-store"})
    return JSONResponse({"status": state}, 503, headers=RETRY)


def live() -> JSONResponse:
    """Return what a server says whose process answers, whatever its model does."""
    return JSONResponse({"status": "live"}, headers={"Cache-Control": "no-store"})


def routes(engine: Engine, gate: Gate) -> list[Route]:
    """Return the routes of both; once the gate is shut, the state is "draining"."""

    async def health(_: Request) -> JSONResponse:
        return answer("draining" if gate.shut else engine.state)

    async def alive(_: Request) -> JSONResponse:
        return live()

    return [Route(path, said) for path, said in zip(PATHS, (health, alive), strict=True)]
