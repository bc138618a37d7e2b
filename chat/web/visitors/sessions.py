"""Sessions, which end.

Source: OWASP's cheat sheet on session management.
"""

import time
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import Scope

LOGGED_OUT = HTTPException(401, "Your login has ended. Please reload the page.")

#: How many there are at most.
MOST = 10_000


class Sessions(dict[str, str]):
    """Names by their tokens, as Gradio keeps them, for so many seconds after each login."""

    def __init__(self, seconds: float, others: Mapping[str, str]) -> None:
        super().__init__()
        self._seconds = seconds
        self._begun: dict[str, float] = {}
        for token, name in others.items():
            self[token] = name

    def __setitem__(self, token: str, name: str) -> None:
        self._begun[token] = time.monotonic()
        super().__setitem__(token, name)
        self._end()

    def __delitem__(self, token: str) -> None:
        del self._begun[token]
        super().__delitem__(token)

    def get(self, token: Any, default: Any = None) -> Any:
        """Return whose session it is, if it is one."""
        self._end()
        return super().get(token, default)

    def _end(self) -> None:
        """End those that are over, the oldest first, and more if there are too many."""
        over = time.monotonic() - self._seconds
        while self and (self._begun[first := next(iter(self._begun))] <= over or len(self) > MOST):
            del self[first]


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
