"""chat.web.serve: by whom the page can be reached."""

import socket

import httpx
import pytest

from chat.errors import SettingsError
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine


def test_a_port_that_was_taken_meanwhile_is_one_sentence(serve: Serve) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"^The page cannot be served at {port}, "):
            serve(ScriptedEngine(), server_port=port)


def test_an_address_with_a_slash_too_many_is_the_same(serve: Serve) -> None:
    url = serve(ScriptedEngine())
    assert url.endswith("/")
    for path in ("/v1/models", "//v1//models/", "/health/"):
        assert httpx.get(url + path).status_code == 200, path
