"""Sessions, which end.

Source: OWASP's cheat sheet on session management.
"""

import time
from collections.abc import Mapping
from typing import Any

from cachetools import TTLCache
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import Scope

LOGGED_OUT = HTTPException(401, "Your login has ended. Please reload the page.")

#: How many there are at most.
MOST = 10_000


def lasting(seconds: float, others: Mapping[str, str]) -> "TTLCache[str, str, float]":
    """Return names by their tokens, as Gradio keeps them, for so many seconds after each login."""
    found: TTLCache[str, str, float] = TTLCache(MOST, seconds, time.monotonic)
    found.update(others)
    return found


def tokens(scope: Scope) -> list[str]:
    """Return those that a request to Gradio's app comes with: one of the cookies needs HTTPS."""
    id, cookies = scope["app"].cookie_id, HTTPConnection(scope).cookies
    names = (f"access-token-{id}", f"access-token-unsecure-{id}")
    return [cookies[name] for name in names if name in cookies]


def admitted(scope: Scope) -> bool:
    """Whether a request is of somebody who has logged in, if one has to."""
    app: Any = scope.get("app")
    if getattr(app, "auth", None) is None:
        return True
    return any(app.tokens.get(token) for token in tokens(scope))
