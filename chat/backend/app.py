"""The app, for any server of ASGI apps."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route, Router

from chat.backend.completions import Completions
from chat.backend.models import Models
from chat.core.chat import Chat
from chat.settings import Settings
from chat.web import health, metrics
from chat.web.api.asgi import Answering
from chat.web.api.authentication import Authentication
from chat.web.headers import Headers
from chat.web.origins import Origins
from chat.web.requests import Logged
from chat.web.visitors.patience import Patience


def build(chat: Chat, settings: Settings) -> Starlette:
    """Return an ASGI app that has `chat`'s engine answer; it needs no lifespan.

    Whoever serves it should call `chat.web.ending.end_with(chat.engine)` too, so that the
    process ends with its engine: while one loads anew, requests are better off elsewhere.
    """
    router = Router(
        [
            Route("/models", Answering(Models(chat).all), methods=["GET"]),
            Route("/completions", Completions(chat, settings), methods=["POST"]),
        ],
        redirect_slashes=False,
    )
    return Starlette(
        routes=[
            *health.routes(chat.engine, chat.gate),
            metrics.route(chat, settings),
            Mount("/v1", Authentication(router, settings, chat.shares)),
        ],
        middleware=[
            Middleware(Logged),
            Middleware(Headers, "'none'"),
            Middleware(Origins, settings, settings.server_name or ""),
            Middleware(Patience),
        ],
    )
