"""A person at the page: in Chromium, around a scripted engine.

Where there is no Chromium, importing this skips the tests with that reason.
"""

import re
import time
from collections.abc import Callable

import pytest

from benchmarks import chromium
from tests.support.fakes import ScriptedEngine, last_message

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
Browser, BrowserContext, expect = playwright.Browser, playwright.BrowserContext, playwright.expect
Locator, Request, Route = playwright.Locator, playwright.Request, playwright.Route

expect.set_options(timeout=30_000)

CHROMIUM, FLAGS = chromium.find(), chromium.FLAGS
if not CHROMIUM:
    pytest.skip(
        f"no Chromium: none of {', '.join(chromium.NAMES)} is on the PATH, and "
        f"{chromium.VARIABLE} is not set",
        allow_module_level=True,
    )

TALK = " ".join(f"word{number}" for number in range(80))
"""A reply that takes 25 seconds and more at `PACE`."""
PACE = 0.05
AGES = 600.0
"""Seconds of reading that no test waits for."""


class Tab:
    """The page in a tab of a person's browser; `elsewhere` is what it asks other hosts for."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.elsewhere: list[str] = []
        self.page = context.new_page()
        self.page.on("request", lambda request: self._note(request.url, url))
        self.page.on("requestfailed", self._spare)
        self.page.set_default_timeout(30_000)
        self.page.goto(url)
        chatting = self.page.locator("#message textarea")
        self.box = chatting.or_(self.page.get_by_placeholder("Write the beginning"))
        self.chat = self.page.get_by_role("log")
        self.replies = self.chat.get_by_test_id("bot")
        self.messages = self.chat.get_by_test_id("user")
        self.status = self.page.locator("#status .prose .md")
        self.toasts = self.page.get_by_test_id("toast-body")
        self.send_button = self.page.locator("button.submit-button")
        self.stop_button = self.page.locator("button.stop-button")
        expect(self.box).to_be_editable()

    def _note(self, asked: str, url: str) -> None:
        if not asked.startswith((url, "blob:", "data:")):
            self.elsewhere.append(asked)

    def _spare(self, request: Request) -> None:
        if request.failure == "csp" and request.url in self.elsewhere:  # it did not begin
            self.elsewhere.remove(request.url)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def send(self, text: str) -> None:
        self.box.fill(text)
        self.box.press("Enter")

    def ask(self, text: str) -> None:
        """Send a message and wait until the reply is finished and the next can be written."""
        answered = self.replies.count()
        self.send(text)
        expect(self.replies).to_have_count(answered + 1)
        self.settled("Finished:")

    def settled(self, status: str) -> None:
        """Wait until nothing is on its way, and the status line begins like this."""
        expect(self.status).to_have_text(re.compile(rf"^{re.escape(status)}"))
        expect(self.send_button).to_be_visible()
        expect(self.stop_button).to_be_hidden()
        expect(self.box).to_be_editable()

    def new_chat(self) -> None:
        """Begin a conversation, and wait until the one before is gone."""
        self.button("New chat").click()
        expect(self.replies).to_have_count(0)

    def edit(self, message: int, text: str) -> None:
        self.button("Edit").nth(message).click()
        self.chat.get_by_role("textbox").fill(text)
        self.button("Submit").click()

    def setting(self, label: str, value: str) -> None:
        """Type a value into the number field of a control."""
        slider = self.page.get_by_label(f"number input for {label}")
        field = slider.or_(self.page.get_by_role("spinbutton", name=label, exact=False))
        knob = self.page.get_by_label(f"range slider for {label}")
        for _ in range(5):  # one that has just been shown may still take its first value
            field.fill(value)
            field.press("Tab")
            if not knob.count() or abs(float(knob.input_value()) - float(value)) < 1:
                break

    def says(self, *conversation: str) -> None:
        """Wait until the conversation is exactly this: message, reply, message, reply."""
        expect(self.chat.locator("[data-testid=user], [data-testid=bot]")).to_have_text(
            list(conversation)
        )


def forget(context: BrowserContext) -> None:
    """Close all of a person's tabs, and leave nothing of theirs but the cache."""
    last = context.new_page()
    for page in context.pages[:-1]:
        page.close()
    context.clear_cookies()
    context.clear_permissions()
    every = {"origin": "*", "storageTypes": "local_storage"}
    context.new_cdp_session(last).send("Storage.clearDataForOrigin", every)
    last.close()


Visit = Callable[[str], Tab]


def slow_talk(prompt: str) -> str:
    return TALK if last_message(prompt) == "Talk" else "Yes."


def echo(prompt: str) -> str:
    return f"Re: {last_message(prompt)}"


def idle_within(seconds: float, engine: ScriptedEngine) -> bool:
    deadline = time.monotonic() + seconds
    while engine.active and time.monotonic() < deadline:
        time.sleep(0.02)
    return not engine.active
