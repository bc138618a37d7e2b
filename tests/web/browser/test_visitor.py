"""What somebody sees who has had their share, and who guesses passwords."""

from typing import Any

import pytest

from chat.web.visitors.login import OF_ADDRESS
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine
from tests.support.tab import expect

#: As the server's proxy would say it; of nobody (RFC 5737).
FROM = {"X-Forwarded-For": "203.0.113.7"}


@pytest.fixture
def page(browser: Any) -> Any:
    """A page of somebody who comes through a proxy."""
    context = browser.new_context(extra_http_headers=FROM)
    yield context.new_page()
    context.close()


def test_who_asks_for_more_than_their_share_is_told_and_keeps_what_they_wrote(
    serve: Serve, page: Any
) -> None:
    page.goto(serve(ScriptedEngine(lambda prompt: "Yes."), visitor_requests=1))
    box = page.get_by_placeholder("Type a message")
    for message in ("One", "Another"):
        box.fill(message)
        box.press("Enter")
        expect(page.locator("#status")).to_contain_text(
            "Finished:" if message == "One" else "You may send 1 request a minute."
        )
    expect(box).to_have_value("Another")
    expect(page.get_by_test_id("bot")).to_have_text("Yes.")
    cookies = {cookie["name"].partition("-")[0]: cookie for cookie in page.context.cookies()}
    assert cookies["visitor"]["httpOnly"]
    assert "visitor" not in page.evaluate("document.cookie")


def test_who_guesses_passwords_is_told_to_wait(serve: Serve, page: Any) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(serve(ScriptedEngine(), auth="ann:secret"))
    login = page.get_by_role("button", name="Login")

    def fill(password: str) -> None:
        page.get_by_label("Username").fill("ann")
        page.get_by_label("Password").fill(password)

    for _ in range(OF_ADDRESS.free):
        fill("wrong")
        with page.expect_response("**/login") as answer:
            login.click()
        assert answer.value.status == 400
    fill("wrong")
    with page.expect_event("dialog") as dialog:
        login.click()
    said = dialog.value.message
    assert said == "There were too many wrong logins. Please try again in 1 second."
    page.wait_for_timeout(1000)  # as it said
    fill("secret")
    login.click()
    expect(page.get_by_placeholder("Type a message")).to_be_editable()
