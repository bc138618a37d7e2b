"""Replies without the pause in which what is written comes together, but where a test waits."""

from collections.abc import Iterator

import pytest

from chat.core import chat


@pytest.fixture(autouse=True, scope="package")
def _without_pauses() -> Iterator[None]:
    interval, chat.INTERVAL = chat.INTERVAL, 0.0
    yield
    chat.INTERVAL = interval
