"""One server for all clients, which refuses what it does not know, so that nothing is ignored."""

import os
from collections.abc import Iterator

# Before anything imports them: no client may report home or fetch a price list.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["LANGSMITH_TRACING"] = "false"

import pytest

from tests.conftest import serving
from tests.support import tools
from tests.support.fakes import ScriptedEngine
from tests.support.thinking import qwen3
from tests.support.tools import speaking
from tests.support.waiting import until
from tests.web.api.clients import Server

SUPPORTS = frozenset({"choices", "regex", "json_schema"})


@pytest.fixture(scope="package")
def served() -> Iterator[Server]:
    engine = ScriptedEngine()
    engine.supports = SUPPORTS
    with serving() as serve:
        address = serve(engine, max_waiting=0, api_key="secret", strict_api=True)
        yield address + "v1", engine


@pytest.fixture
def server(served: Server) -> Server:
    """The server with an engine as good as new."""
    until(lambda: served[1].active == 0)
    vars(served[1]).update(vars(ScriptedEngine()), supports=SUPPORTS)
    return served


@pytest.fixture(scope="package")
def served_with_tools() -> Iterator[Server]:
    chat = speaking(tools.hermes(), lambda prompt: "")
    assert isinstance(chat.engine, tools.Speaker)
    with serving() as serve:
        address = serve(chat.engine, chat=chat, api_key="secret", strict_api=True)
        yield address + "v1", chat.engine


@pytest.fixture
def tooled(served_with_tools: Server) -> Server:
    """A server whose model knows tools; what was asked of it before is forgotten."""
    engine = served_with_tools[1]
    engine.prompts.clear()
    engine.samplings.clear()
    return served_with_tools


def think(prompt: str) -> str:
    """Return a thought and a reply, or what is left to say where there is no thought."""
    said = prompt.rsplit("<|im_start|>user\n", 1)[1].split("<|im_end|>")[0]
    thought = "" if prompt.endswith("</think>\n\n") else f"<think>\nThey say {said}.\n</think>\n\n"
    return f"{thought}You said: {said}"


@pytest.fixture(scope="package")
def served_with_thoughts() -> Iterator[Server]:
    chat = speaking(qwen3(), think)
    with serving() as serve:
        engine = chat.engine
        assert isinstance(engine, tools.Speaker)
        yield serve(engine, chat=chat, api_key="secret", strict_api=True) + "v1", engine


@pytest.fixture
def thoughtful(served_with_thoughts: Server) -> Server:
    """A server whose model thinks; what was asked of it before is forgotten."""
    engine = served_with_thoughts[1]
    engine.prompts.clear()
    engine.samplings.clear()
    return served_with_thoughts
