"""The models that there are: one, and the same with each of its adapters, by their names."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from chat.core.chat import Chat
from chat.errors import BadRequest
from chat.web.api.errors import NoSuchModel, json_answer


class Models:
    """The list of the models that there are, and each by its name."""

    def __init__(self, name: str, adapters: Sequence[str] = ()) -> None:
        now = int(time.time())
        made = {"object": "model", "created": now, "owned_by": "local"}
        # And as Anthropic's clients read it.
        made |= {"type": "model", "created_at": f"{datetime.fromtimestamp(now, UTC):%FT%TZ}"}
        names = [name, *(with_adapter(name, adapter) for adapter in adapters)]
        self._models: dict[str, dict[str, Any]] = {
            name: {"id": name, "display_name": name, **made} for name in names
        }

    async def all(self, _: Request) -> Response:
        """Answer with the list."""
        ids = [*self._models]
        page = {"has_more": False, "first_id": ids[0], "last_id": ids[-1]}
        return json_answer({"object": "list", "data": [*self._models.values()], **page})

    async def one(self, request: Request) -> Response:
        """Answer with one of them, whose name may have slashes in it."""
        model = self._models.get(request.path_params["id"])
        if not model:
            raise NoSuchModel(", ".join(self._models))
        return json_answer(model)


def with_adapter(name: str, adapter: str) -> str:
    """Return what a model is called that has an adapter, if it has one."""
    return f"{name}:{adapter}" if adapter else name


def adapter_of(chat: Chat, model: str) -> str:
    """Return the adapter that a request names with its model, or nothing.

    Raises:
        BadRequest: there is no such adapter of this model; any other name of one will do.
    """
    adapter = model.removeprefix(f"{chat.name}:")
    if not chat.adapters or adapter == model:
        return ""
    if adapter not in chat.adapters:
        there = ", ".join(with_adapter(chat.name, one) for one in chat.adapters)
        raise BadRequest(f"There is no such model here; there is {chat.name}, {there}.", "model")
    return adapter
