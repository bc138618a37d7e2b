"""One server for all clients, which refuses what it does not know, so that nothing is ignored."""

import os
from collections.abc import Iterator

# Before anything imports them: no client may report home or fetch a price list.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["LANGSMITH_TRACING"] = "false"

import pytest

from tests.conftest import serving
from tests.support.fakes import ScriptedEngine
from tests.web.api.clients import Server, until

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
