"""Functions that take their time, as on a server that has much to do."""

import time
from typing import Any

import pytest


class Late:
    """Has a function of a class take so many `seconds` more, until the end of the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        self.seconds = 0.0
        function = getattr(owner, name)

        def late(*values: Any) -> Any:
            time.sleep(self.seconds)
            return function(*values)

        monkeypatch.setattr(owner, name, late)
