"""Fixtures that more than one test module needs."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

# Before anything imports them: no test may reach for a hub or report home.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# Nor write into the folder that belongs to the person who runs them.
DATA = tempfile.TemporaryDirectory()
os.environ["XDG_DATA_HOME"] = DATA.name
for name in [name for name in os.environ if name.startswith(("CHAT_", "GRADIO_SERVER"))]:
    del os.environ[name]

from chat.settings import Settings
from chat.web import serve
from chat.web.page import page
from prompts import PromptFormat
from tests.support.fakes import ScriptedEngine, chat_with

Serve = Callable[..., str]


@contextmanager
def serving() -> Iterator[Serve]:
    """Serve pages around scripted engines in this process, until the end of the block."""
    pages = []

    def start(
        engine: ScriptedEngine,
        max_waiting: int = 32,
        format: PromptFormat | None = None,
        **settings: object,
    ) -> str:
        chosen = Settings(max_waiting=max_waiting, **settings)
        built = page.build(chat_with(engine, max_waiting, format), chosen)
        pages.append(built)
        return serve.launch(built, chosen, block=False)

    try:
        yield start
    finally:
        for built in pages:
            built.close()


@pytest.fixture(name="serve")
def _serve() -> Iterator[Serve]:
    """Serve pages for one test; call it with an engine to get the page's address."""
    with serving() as start:
        yield start
