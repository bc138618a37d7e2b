"""chat.web.reverse_proxy behind a real nginx, for programs; tests/web/browser has the page."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from gradio_client import Client

from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine
from tests.support.nginx import SET_UPS, SetUp, nginx

LOGIN = ("ann", "secret")
KEY = {"Authorization": "Bearer key"}


@pytest.fixture(params=SET_UPS.values(), ids=SET_UPS)
def set_up(request: pytest.FixtureRequest) -> SetUp:
    return request.param


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(lambda prompt: "word " * 100, pace=0.05)


@pytest.fixture
def url(set_up: SetUp, engine: ScriptedEngine, serve: Serve, tmp_path: Path) -> Iterator[str]:
    root = {} if set_up.strips else {"root_path": set_up.path}
    app = serve(engine, auth=":".join(LOGIN), api_key="key", **root)
    with nginx(set_up, app, tmp_path) as url:
        yield url


def test_openais_api_answers_and_streams(url: str, engine: ScriptedEngine) -> None:
    with httpx.Client(base_url=url, headers=KEY, verify=False) as client:
        assert client.get("v1/models").json()["object"] == "list"
        body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
        with client.stream("POST", "v1/chat/completions", json=body) as answer:
            assert answer.status_code == 200
            lines = (line for line in answer.iter_lines() if line.startswith("data:"))
            deltas = (json.loads(line[5:])["choices"][0]["delta"] for line in lines)
            assert next(filter(None, (delta.get("content") for delta in deltas))) in "word"
            assert engine.active  # it has not come all at once
        assert client.get("v1/nowhere").json()["error"]["message"] == "There is nothing here."


def test_gradios_api_answers_and_streams(url: str, engine: ScriptedEngine) -> None:
    client = Client(url, auth=LOGIN, ssl_verify=False, verbose=False, analytics_enabled=False)
    job = client.submit("Hi", api_name="/chat")
    assert next(reply for reply, _ in job if reply) in "word"
    assert engine.active
    assert job.cancel()


def test_what_watches_the_server_and_the_page_are_there_and_no_redirect_leads_elsewhere(
    url: str,
) -> None:
    for address in ("health", "config", "login_check", ""):
        answer = httpx.get(url + address, verify=False)
        assert answer.status_code == {"config": 401, "login_check": 404}.get(address, 200)
    assert re.search(r'window\.gradio_config = .*"root": ?"\."', answer.text)

    with httpx.Client(verify=False, follow_redirects=True) as client:
        for address in ("health/", "logout/", "gradio_api/info/", "login/"):
            assert str(client.get(url + address).url).startswith(url)
        if url.endswith("/chat/"):
            assert client.get(f"{url[:-1]}?__theme=dark").url == f"{url}?__theme=dark"
