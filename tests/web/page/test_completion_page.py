"""The page of a base model, for API clients."""

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from prompts.formats.plain import Plain
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine

SO_FAR = "This is a nice story that makes me"


def on(prompt: str) -> str:
    return f" feel {len(prompt)}"


def test_an_api_client_gets_what_comes_after_its_text(serve: Serve) -> None:
    engine = ScriptedEngine(on)
    client = Client(serve(engine, format=Plain()), verbose=False, analytics_enabled=False)
    added, status = client.predict(SO_FAR, max_new_tokens=5, api_name="/complete")
    assert added == " feel"
    assert status == "Cut off at the length limit: 5 tokens"
    assert list(client.view_api(return_format="dict")["named_endpoints"]) == ["/complete"]
    with pytest.raises(AppError, match="Max new tokens must be at least 1"):
        client.predict(SO_FAR, max_new_tokens=0, api_name="/complete")
