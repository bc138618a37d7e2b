"""chat.web.health: `GET /health` and `GET /live` beside the page."""

import httpx
import pytest

from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine


@pytest.mark.parametrize("auth", [None, "ann:secret"])
def test_it_follows_the_engine_and_asks_for_no_login(serve: Serve, auth: str | None) -> None:
    engine = ScriptedEngine()
    url = serve(engine, auth=auth)
    for state, status in (("ready", 200), ("loading", 503), ("failed", 503), ("ready", 200)):
        engine.state = state
        answer = httpx.get(f"{url}health")
        assert (answer.status_code, answer.json()) == (status, {"status": state})
        assert answer.headers["Cache-Control"] == "no-store"
        assert ("Retry-After" in answer.headers) == (status == 503)


@pytest.mark.parametrize("auth", [None, "ann:secret"])
def test_it_lives_whatever_the_model_does_and_asks_for_no_login(
    serve: Serve, auth: str | None
) -> None:
    engine = ScriptedEngine()
    url = serve(engine, auth=auth)
    for state in ("ready", "loading", "failed"):
        engine.state = state
        answer = httpx.get(f"{url}live")
        assert (answer.status_code, answer.json()) == (200, {"status": "live"})
        assert answer.headers["Cache-Control"] == "no-store"
