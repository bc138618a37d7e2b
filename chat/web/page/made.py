"""What the page tells, at each reply, of how it was made."""

from collections.abc import Mapping
from typing import Any

from chat.core.chat import Chat
from chat.core.made import LONGEST, Made
from chat.core.sampling import Sampling
from chat.web.page.turn import Progress

#: The controls that are told of in any case, and of the others those that are set.
ALWAYS = ("max_new_tokens", "temperature")
UNSET = ("", -1, None)


def made(chat: Chat, reply: Progress) -> str:
    """Return how a reply was made, as JSON for the browser; nothing if it never began."""
    if reply.update is None:
        return ""
    known = vars(reply.update)
    figures = {name: known[name] for name in known.keys() & Made.model_fields.keys()}
    figures |= {name: round(figures[name], 3) for name in ("first_token", "seconds")}
    return Made(
        model=chat.name[:LONGEST],
        ended=reply.ended,
        window=chat.engine.window,
        controls=_told(reply.controls),
        **figures,
    ).model_dump_json(exclude_none=True)


def _told(given: Mapping[str, Any]) -> dict[str, str | float | bool]:
    told = {}
    for name, field in Sampling.model_fields.items():
        value = given.get(name)
        if name in ALWAYS or value not in (field.default, *UNSET):
            told[name] = value if isinstance(value, bool | int | float) else str(value)[:LONGEST]
    return told
