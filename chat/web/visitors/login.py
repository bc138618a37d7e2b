"""Logins: whether a name exists is not told, and guessing gets slower.

For a name the wait stays short, since others than its owner can cause it.
"""

import hmac
from collections.abc import Mapping
from hashlib import sha256

from chat.core.shares import asking
from chat.web.visitors.guesses import Guesses, Pace

OF_ADDRESS, OF_NAME = Pace(5, 900.0), Pace(10, 60.0)


class Logins:
    """Who may come in, as Gradio asks for it: called with a name and a password."""

    def __init__(self, logins: Mapping[str, str]) -> None:
        self._passwords = {name: _digest(password) for name, password in logins.items()}
        self._guesses = Guesses()

    def __call__(self, name: str, password: str) -> bool:
        """Return whether both are right.

        Raises:
            HTTPException: there were too many wrong ones, and whoever asks has to wait.
        """
        whose = f"name:{name[:100]}"
        paces = {whose: OF_NAME}
        if visitor := asking.get():
            paces[visitor[0].name] = OF_ADDRESS
        self._guesses.check(paces, "logins")
        right = hmac.compare_digest(self._passwords.get(name, b"?" * 32), _digest(password))
        if right:
            self._guesses.forget(whose)
        else:
            self._guesses.note(paces)
        return right


def _digest(password: str) -> bytes:
    return sha256(password.encode("utf-8", "surrogatepass")).digest()
