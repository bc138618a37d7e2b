"""Fixtures that more than one test module needs."""

import os
from collections.abc import Callable, Iterator

import pytest

# Before anything imports them: no test may reach for a hub or report home.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
for name in [name for name in os.environ if name.startswith(("CHAT_", "GRADIO_SERVER"))]:
    del os.environ[name]

from chat import page
from chat.settings import Settings
from tests.fakes import ScriptedEngine, chat_with

Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve the page around a scripted engine in this process; returns its address."""
    pages = []

    def start(engine: ScriptedEngine, max_waiting: int = 32, **settings: object) -> str:
        chosen = Settings(max_waiting=max_waiting, **settings)
        built = page.build(chat_with(engine, max_waiting), chosen)
        pages.append(built)
        return page.launch(built, chosen, block=False)

    yield start
    for built in pages:
        built.close()
