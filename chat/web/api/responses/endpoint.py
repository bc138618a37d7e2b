"""The addresses of responses: asking for one, and what is kept of it."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from chat.core.chat import Chat
from chat.core.sampling import Sampling, whole
from chat.errors import BadRequest
from chat.web.api.endpoint import Endpoint
from chat.web.api.errors import json_answer
from chat.web.api.request import LONGEST, Asked
from chat.web.api.responses.items import items_of
from chat.web.api.responses.shapes import Around, ResponseBody
from chat.web.api.responses.stored import Keeper
from chat.web.api.responses.writer import ResponseReply
from chat.web.api.shapes import RequestBody
from chat.web.api.streams import Streams

#: How many items there may be in one answer, and how many there are if nobody says.
SIZES, PAGE = [str(size) for size in range(1, 101)], 20


class Responses(Endpoint):
    """Answers requests for responses (see `Endpoint`), and keeps the responses."""

    def __init__(
        self,
        chat: Chat,
        sampling: Sampling,
        system_prompt: str,
        streams: Streams,
        *,
        strict: bool,
    ) -> None:
        self._keeper = Keeper()
        given = sampling, system_prompt, ResponseBody, self._writes, streams
        super().__init__(chat, *given, strict=strict)

    def _writes(self, body: ResponseBody, chat: Chat, _: int) -> ResponseReply:
        return ResponseReply(body, chat.name, self._keeper)

    async def _read(self, sent: bytes) -> Asked[RequestBody]:
        asked = await super()._read(sent)
        body = asked.body
        assert isinstance(body, ResponseBody)
        body.refer(self._keeper.item)
        before, id = [], body.previous_response_id
        if id:
            before = [*self._keeper.find(id, "previous_response_id").conversation]
        # What asks for all there is room for is no limit.
        limit = whole(asked.controls.values.get("max_new_tokens"))
        limit = None if limit == LONGEST else limit
        controls = {**self._sampling, **asked.controls.values, "max_new_tokens": limit}
        body.put(Around(before, controls))
        return asked

    async def one(self, request: Request) -> Response:
        """Answer with a response that is kept, or forget it."""
        if request.method == "DELETE":
            return self._forget(request)
        if request.query_params.get("stream") == "true":
            raise BadRequest("stream must be false: a response that is kept comes whole.", "stream")
        kept = self._keeper.find(request.path_params["id"], "id")
        return Response(kept.written, media_type="application/json")

    def _forget(self, request: Request) -> Response:
        id = request.path_params["id"]
        self._keeper.forget(id)
        return json_answer({"id": id, "object": "response", "deleted": True})

    async def items(self, request: Request) -> Response:
        """Answer with what a response answered, a page at a time and the latest first."""
        id = request.path_params["id"]
        items = list(items_of(self._keeper.find(id, "id").asked, id[-12:]))
        return json_answer(_page(items, request.query_params))


def _page(items: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    order, limit, after = (query.get(name, "") for name in ("order", "limit", "after"))
    if order not in ("", "asc", "desc"):
        raise BadRequest("order must be asc or desc.", "order")
    if limit and limit not in SIZES:
        raise BadRequest(f"limit must be {SIZES[0]} to {SIZES[-1]}.", "limit")
    if order != "asc":
        items.reverse()
    ids = [item["id"] for item in items]
    if after and after not in ids:
        raise BadRequest("after must be the id of one of the items.", "after")
    start = ids.index(after) + 1 if after else 0
    end = start + int(limit or PAGE)
    return {
        "object": "list",
        "data": items[start:end],
        "first_id": next(iter(ids[start:end]), None),
        "last_id": next(iter(ids[start:end][::-1]), None),
        "has_more": end < len(items),
    }
