"""The models that there are: one, and the same with each of its adapters."""

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from chat.core.chat import Chat
from chat.web.api.errors import NoSuchModel, json_answer
from chat.web.api.models import with_adapter


class Models:
    """The list of them, with what a front-end has to know."""

    def __init__(self, chat: Chat) -> None:
        engine = chat.engine
        known = {
            "object": "model",
            "created": int(time.time()),
            "owned_by": "fourbit",
            "root": chat.name,
            "max_model_len": engine.window,
            "parallel": engine.parallel,
            "supports": sorted(engine.supports),
            "stop_token_ids": sorted(engine.stop_ids),
            "generation": dict(chat.suited),
        }
        listed: list[dict[str, Any]] = [{"id": chat.name, **known}]
        for adapter in chat.adapters:
            name = with_adapter(chat.name, adapter)
            listed.append({"id": name, **known, "parent": chat.name})
        self._listed = {"object": "list", "data": listed}

    async def all(self, _: Request) -> Response:
        """Answer with the list."""
        return json_answer(self._listed)


def adapter_named(chat: Chat, model: str) -> str:
    """Return the adapter that a request names with its model, or nothing.

    Raises:
        NoSuchModel: it is for another model.
    """
    names = {with_adapter(chat.name, adapter): adapter for adapter in ("", *chat.adapters)}
    if model and model not in names:
        raise NoSuchModel(", ".join(names))
    return names.get(model, "")
