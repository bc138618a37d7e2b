"""The models that there are: one, in a list and by its name."""

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from chat.web.api.errors import NoSuchModel, json_bytes


class Models:
    """The list of the one model that there is, and the model by its name."""

    def __init__(self, name: str) -> None:
        self._model = {"id": name, "object": "model", "created": int(time.time())}
        self._model["owned_by"] = "local"

    async def all(self, _: Request) -> Response:
        """Answer with the list."""
        return _json({"object": "list", "data": [self._model]})

    async def one(self, request: Request) -> Response:
        """Answer with the model, whose name may have slashes in it."""
        if request.path_params["id"] != self._model["id"]:
            raise NoSuchModel(str(self._model["id"]))
        return _json(self._model)


def _json(value: Any) -> Response:
    return Response(json_bytes(value), media_type="application/json")
