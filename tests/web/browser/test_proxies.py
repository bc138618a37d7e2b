"""The page behind a real nginx, at an address of its own, and in another site's frame."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine
from tests.support.nginx import SET_UPS, SetUp, nginx
from tests.support.tab import (
    CHROMIUM,
    FLAGS,
    PACE,
    Browser,
    Tab,
    echo,
    expect,
    slow_talk,
)

HOST = "chat.test"
SITE = "https://site.test/"

#: Names for this machine that the server does not know, which any site's frame may ask.
NAMED = [
    *FLAGS,
    "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-features=LocalNetworkAccessChecks",
]

Open = Callable[[str], Tab]


@pytest.fixture(scope="module")
def browser(driver: Any) -> Iterator[Browser]:
    """A browser for which this machine has names, which are not its own to the server."""
    launched = driver.chromium.launch(executable_path=CHROMIUM, args=NAMED)
    yield launched
    launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Any]:
    context = browser.new_context(ignore_https_errors=True)
    yield context.new_page()
    context.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    contexts = []

    def open_tab(url: str) -> Tab:
        contexts.append(browser.new_context(ignore_https_errors=True))
        return Tab(contexts[-1], url)

    yield open_tab
    for context in contexts:
        context.close()


def behind(*names: str) -> pytest.MarkDecorator:
    """With these proxies; tests/web/test_proxies.py has programs behind all of them."""
    return pytest.mark.parametrize("set_up", [SET_UPS[name] for name in names], ids=names)


def root_of(set_up: SetUp) -> dict[str, str]:
    return {} if set_up.strips else {"root_path": set_up.path}


def log_in(page: Any) -> None:
    page.get_by_label("Username").fill("ann")
    page.get_by_label("Password").fill("secret")
    page.get_by_role("button", name="Login").click()


@behind("without headers", "TLS with headers", "a path")
def test_words_stream_and_conversations_are_saved(
    set_up: SetUp, serve: Serve, visit: Open, tmp_path: Path
) -> None:
    engine = ScriptedEngine(slow_talk, pace=PACE)
    with nginx(set_up, serve(engine, **root_of(set_up)), tmp_path, HOST) as url:
        tab = visit(url)
        tab.ask("Hi")
        saved = tab.page.locator("#panel li > button")
        expect(saved).to_have_text(["Hi"])
        tab.send("Talk")
        expect(tab.replies.last).to_contain_text("word2")
        assert engine.active  # it has not come all at once
        tab.stop_button.click()
        tab.settled("Stopped:")
        tab.page.reload()
        expect(saved).to_have_text(["Hi"])
        expect(tab.replies.first).to_have_text("Yes.")
        assert tab.elsewhere == []


@behind("TLS without headers", "a path that stays")
def test_a_login_opens_the_page_and_a_logout_closes_it(
    set_up: SetUp, serve: Serve, page: Any, tmp_path: Path
) -> None:
    app = serve(ScriptedEngine(echo), auth="ann:secret", **root_of(set_up))
    with nginx(set_up, app, tmp_path, HOST) as url:
        page.goto(url)
        log_in(page)
        message = page.get_by_placeholder("Type a message")
        expect(message).to_be_editable()
        page.goto(f"{url}logout")
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Password")).to_be_visible()
        assert page.url == url


def framed(page: Any, url: str) -> Any:
    """Open another site's page with this one in a frame; give what is in the frame."""
    html = f'<!doctype html><iframe src="{url}" width=1200 height=700></iframe>'
    page.route(f"{SITE}**", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto(SITE)
    return page.frame_locator("iframe")


@pytest.mark.parametrize("flag", ["", "--test-third-party-cookie-phaseout"])
def test_a_login_in_another_sites_frame_holds(
    flag: str, serve: Serve, driver: Any, tmp_path: Path
) -> None:
    app = serve(ScriptedEngine(echo), auth="ann:secret", frame_ancestors=SITE.rstrip("/"))
    with nginx(SET_UPS["TLS with headers"], app, tmp_path, HOST) as url:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=[*NAMED, flag])
        frame = framed(browser.new_page(ignore_https_errors=True), url)
        log_in(frame)
        box = frame.get_by_placeholder("Type a message")
        expect(box).to_be_editable()
        box.fill("Hi")
        box.press("Enter")
        expect(frame.get_by_test_id("bot")).to_have_text("Re: Hi")
        browser.close()


def test_a_picture_in_a_reply_fetches_nothing_and_logs_nobody_out(serve: Serve, page: Any) -> None:
    addresses = ("/logout", "logout", "./logout?x", "//127.0.0.1/logout", "/gradio_api/info", "")
    pictures = " ".join(f"![x]({address})" for address in addresses)
    fetched = []
    url = serve(ScriptedEngine(lambda prompt: f"{pictures} end."), auth="ann:secret")
    page.on("requestfinished", lambda request: fetched.append((request.resource_type, request.url)))
    page.goto(url)
    log_in(page)
    box = page.get_by_placeholder("Type a message")
    box.fill("Hi")
    box.press("Enter")
    expect(page.locator("#status")).to_contain_text("Finished:")
    expect(page.locator("#panel li > button")).to_have_text(["Hi"])
    page.get_by_role("button", name="Export all").click()  # which waits until it is saved
    page.reload()
    expect(page.get_by_test_id("bot")).to_contain_text("end.")
    assert fetched
    assert [url for kind, url in fetched if kind == "image"] == []
    page.reload()
    expect(box).to_be_editable()


@pytest.mark.parametrize("name", ["Copy conversation", "Copy"])
def test_what_is_shown_can_be_copied_over_plain_http_on_a_lan(
    name: str, serve: Serve, visit: Open, tmp_path: Path
) -> None:
    html = "<b>bold</b> text"
    app = serve(ScriptedEngine(lambda prompt: html))
    with nginx(SET_UPS["with headers"], app, tmp_path, HOST) as url:
        tab = visit(url)
        assert not tab.page.evaluate("isSecureContext")
        tab.ask("Hi")
        tab.page.get_by_role("button", name=name).last.click()
        tab.box.focus()
        tab.page.keyboard.press("Control+V")
        expect(tab.box).to_have_value(html if name == "Copy" else f"user: Hi\n\nassistant: {html}")
