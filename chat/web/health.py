"""`GET /health`: whether the model can answer, for whoever watches the server.

It asks for no login, since those who watch have none, and tells nothing else.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from chat.core.engine import Engine, State

#: Seconds after which it is worth asking again.
RETRY = {"Retry-After": "2", "Cache-Control": "no-store"}


def answer(state: State) -> JSONResponse:
    """Return `{"status": state}`, as 200 only if the model is ready."""
    if state == "ready":
        return JSONResponse({"status": state}, headers={"Cache-Control": "no-store"})
    return JSONResponse({"status": state}, 503, headers=RETRY)


def route(engine: Engine) -> Route:
    """Return the route that tells the engine's state."""

    async def health(_: Request) -> JSONResponse:
        return answer(engine.state)

    return Route("/health", health)
