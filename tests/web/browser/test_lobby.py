"""The page that waits while the model loads, in a browser."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from chat.web.lobby import lobby
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine
from tests.support.tab import Browser, expect
from tests.web.test_lobby import listen


class Loading:
    """An app that is loading."""

    def __init__(self) -> None:
        self._lobby = ExitStack()
        self.port = 0
        self.start()

    def start(self) -> None:
        listening: socket.socket = listen(self.port)
        self.port = listening.getsockname()[1]
        self._lobby.enter_context(lobby(listening))

    def stop(self) -> None:
        self._lobby.close()


@pytest.fixture
def loading() -> Iterator[Loading]:
    app = Loading()
    yield app
    app.stop()


def test_the_page_opens_the_chat_by_itself_when_the_model_is_there(
    browser: Browser, loading: Loading, serve: Serve
) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"http://127.0.0.1:{loading.port}/?__theme=dark")
    expect(page.get_by_role("status")).to_have_text("Loading the model …")
    assert all(url.startswith((f"http://127.0.0.1:{loading.port}/", "data:")) for url in asked)
    loading.stop()
    serve(ScriptedEngine(), server_port=loading.port)
    expect(page.get_by_placeholder("Type a message")).to_be_editable()
    assert page.url.endswith("?__theme=dark")
    page.close()


def test_the_page_says_so_if_the_server_stops_and_when_it_is_back(
    browser: Browser, loading: Loading
) -> None:
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{loading.port}")
    expect(page.get_by_role("progressbar")).to_be_visible()
    loading.stop()
    expect(page.get_by_role("status")).to_have_text("The server has stopped.")
    expect(page.get_by_role("progressbar")).to_be_hidden()
    loading.start()
    expect(page.get_by_role("status")).to_have_text("Loading the model …")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_scheme_and_fits_a_phone(
    browser: Browser, loading: Loading, scheme: str
) -> None:
    page = browser.new_page(color_scheme=scheme, viewport={"width": 390, "height": 700})
    page.goto(f"http://127.0.0.1:{loading.port}")
    back = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    )
    assert (sum(back) > 600) == (scheme == "light")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate("document.documentElement.scrollHeight") == 700
    page.close()
