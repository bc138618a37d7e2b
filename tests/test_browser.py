"""The page as a person sees it: in Chromium, around a scripted engine."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from chat.errors import EngineError
from tests.conftest import Serve
from tests.fakes import ScriptedEngine, last_message

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
Browser, BrowserContext, expect = playwright.Browser, playwright.BrowserContext, playwright.expect
Locator, Route = playwright.Locator, playwright.Route

expect.set_options(timeout=10_000)

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
if not CHROMIUM:
    pytest.skip(
        f"no Chromium: none of {', '.join(NAMES)} is on the PATH, and CHROMIUM is not set",
        allow_module_level=True,
    )

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

TALK = " ".join(f"word{number}" for number in range(80))
"""A reply that takes 25 seconds and more at `PACE`."""
PACE = 0.05
AGES = 600.0
"""Seconds of reading that no test waits for."""


class Tab:
    """The page in a tab of a person's browser; keeps what it sends to other hosts from leaving."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.elsewhere: list[str] = []
        context.route(lambda address: not address.startswith(url), self._keep)
        self.page = context.new_page()
        self.page.set_default_timeout(10_000)
        self.page.goto(url)
        self.box = self.page.get_by_placeholder("Type a message")
        self.chat = self.page.get_by_role("log")
        self.replies = self.chat.get_by_test_id("bot")
        self.messages = self.chat.get_by_test_id("user")
        self.status = self.page.locator("#status .prose .md")
        self.toasts = self.page.get_by_test_id("toast-body")
        self.send_button = self.page.locator("button.submit-button")
        self.stop_button = self.page.locator("button.stop-button")
        expect(self.box).to_be_editable()

    def _keep(self, route: Route) -> None:
        self.elsewhere.append(route.request.url)
        route.abort()

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

    def edit(self, message: int, text: str) -> None:
        self.button("Edit").nth(message).click()
        self.chat.get_by_role("textbox").fill(text)
        self.button("Submit").click()

    def setting(self, label: str, value: str) -> None:
        """Type a value into the number field of a slider."""
        field = self.page.get_by_label(f"number input for {label}")
        field.fill(value)
        field.press("Tab")

    def says(self, *conversation: str) -> None:
        """Wait until the conversation is exactly this: message, reply, message, reply."""
        expect(self.chat.locator("[data-testid=user], [data-testid=bot]")).to_have_text(
            list(conversation)
        )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as driver:
        yield driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


@pytest.fixture
def visit(browser: Browser, serve: Serve) -> Iterator[Callable[[str], Tab]]:
    """Open the page as someone who was never here before."""
    contexts = []

    def open_tab(url: str) -> Tab:
        contexts.append(browser.new_context())
        return Tab(contexts[-1], url)

    yield open_tab
    for context in contexts:
        context.close()


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


# One message


def test_a_reply_grows_before_the_eyes_while_the_box_is_locked(serve: Serve, visit: Visit) -> None:
    whole = "One two three four five six seven eight nine ten."
    tab = visit(serve(ScriptedEngine(lambda _: whole, PACE)))
    tab.send("Count")
    expect(tab.replies).to_contain_text("One")
    sooner = tab.replies.inner_text().strip()
    expect(tab.status).to_have_text(re.compile(r"^Writing: \d+ tokens, \d+\.\d tokens/s…\s*$"))
    expect(tab.replies).not_to_have_text(sooner)
    later = tab.replies.inner_text().strip()
    assert later.startswith(sooner)
    assert len(sooner) < len(later) < len(whole)
    expect(tab.box).not_to_be_editable()
    expect(tab.stop_button).to_be_visible()
    expect(tab.send_button).to_be_hidden()
    tab.says("Count", whole)
    tab.settled(f"Finished: {len(whole)} tokens, ")
    expect(tab.box).to_have_value("")
    expect(tab.box).to_be_focused()


def test_an_empty_message_is_refused_and_costs_nothing(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(echo)
    tab = visit(serve(engine))
    tab.ask("Hi")
    tab.send("  \n ")
    expect(tab.toasts).to_contain_text("Please write a message first.")
    tab.settled("Finished:")
    tab.says("Hi", "Re: Hi")
    assert len(engine.prompts) == 1
    tab.ask("Next")
    assert "Re: Hi" in engine.prompts[1]


# Stop


def test_stop_keeps_what_was_said_and_the_next_prompt_has_it(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(slow_talk, PACE)
    tab = visit(serve(engine))
    tab.send("Talk")
    expect(tab.replies).to_contain_text("word1")
    tab.stop_button.click()
    tab.settled("Stopped: ")
    assert idle_within(2, engine)
    said = tab.replies.inner_text().strip()
    assert said.startswith("word0 word1")
    assert len(said) < len(TALK)
    tab.ask("Next")
    tab.says("Talk", said, "Next", "Yes.")
    assert f"user: Talk\0assistant: {said}" in engine.prompts[1]


def test_stop_before_the_first_word_puts_the_message_back(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(echo, reading=AGES)
    tab = visit(serve(engine))
    tab.send("Read this")
    expect(tab.status).to_contain_text(re.compile(r"Reading \d+ tokens…"))
    tab.stop_button.click()
    tab.settled("Stopped before the first word")
    assert idle_within(2, engine)
    expect(tab.box).to_have_value("Read this")
    expect(tab.messages).to_have_count(0)
    engine.reading = 0
    tab.box.press("Enter")
    tab.says("Read this", "Re: Read this")


def test_stop_at_once_stops(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(lambda _: TALK, PACE)
    tab = visit(serve(engine))
    tab.send("Talk")
    tab.stop_button.click()
    tab.settled("Stopped")
    assert idle_within(2, engine)


# Retry, undo, edit, clear


def test_retry_replaces_the_reply(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(lambda _: f"Answer {len(engine.prompts)}.")
    tab = visit(serve(engine))
    tab.ask("Why?")
    tab.says("Why?", "Answer 1.")
    tab.button("Retry").click()
    tab.says("Why?", "Answer 2.")
    tab.settled("Finished:")
    assert engine.prompts[1] == engine.prompts[0]


def test_undo_puts_the_message_back(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(echo)
    tab = visit(serve(engine))
    tab.ask("First")
    tab.ask("Secnd")
    tab.button("Undo").click()
    expect(tab.box).to_have_value("Secnd")
    tab.says("First", "Re: First")
    tab.ask("Second")
    tab.says("First", "Re: First", "Second", "Re: Second")
    assert "Secnd" not in engine.prompts[-1]


def test_an_edited_message_is_answered_anew_and_what_followed_is_gone(
    serve: Serve, visit: Visit
) -> None:
    engine = ScriptedEngine(echo)
    tab = visit(serve(engine))
    for message in ("One", "Two", "Three"):
        tab.ask(message)
    tab.edit(1, "Zwei")
    tab.says("One", "Re: One", "Zwei", "Re: Zwei")
    tab.settled("Finished:")
    assert "Re: One" in engine.prompts[-1]
    assert "T" not in engine.prompts[-1]
    tab.ask("Drei")
    assert "Re: Zwei" in engine.prompts[-1]
    assert "T" not in engine.prompts[-1]


def test_an_edited_message_can_be_stopped(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(slow_talk, PACE)
    tab = visit(serve(engine))
    tab.ask("Hi")
    tab.edit(0, "Talk")
    expect(tab.replies).to_contain_text("word1")
    tab.stop_button.click()
    tab.settled("Stopped: ")
    assert idle_within(2, engine)
    expect(tab.replies).to_contain_text("word1")


@pytest.mark.parametrize("again", ["retried", "edited"])
def test_what_was_there_comes_back_if_it_is_asked_anew_without_an_answer(
    again: str, serve: Serve, visit: Visit
) -> None:
    engine = ScriptedEngine(echo)
    tab = visit(serve(engine))
    tab.ask("One")
    tab.ask("Two")
    engine.reading = AGES
    if again == "retried":
        tab.button("Retry").click()
    else:
        tab.edit(0, "Uno")
    expect(tab.status).to_contain_text("Reading")
    tab.stop_button.click()
    tab.settled("Stopped before the first word")
    tab.says("One", "Re: One", "Two", "Re: Two")
    expect(tab.box).to_have_value("" if again == "retried" else "Uno")
    engine.reading = 0
    tab.box.fill("Three")
    tab.box.press("Enter")
    tab.says("One", "Re: One", "Two", "Re: Two", "Three", "Re: Three")
    assert "Re: Two" in engine.prompts[-1]


def test_a_message_edited_to_nothing_stays_as_it_was(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(echo)
    tab = visit(serve(engine))
    tab.ask("One")
    tab.edit(0, " ")
    expect(tab.toasts).to_contain_text("Please write a message first.")
    tab.says("One", "Re: One")
    tab.ask("Two")
    assert "user: One" in engine.prompts[-1]


def test_clear_forgets_everything(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(echo)
    tab = visit(serve(engine))
    tab.ask("First")
    tab.button("Clear").click()
    expect(tab.chat.get_by_text("Say something.")).to_be_visible()
    expect(tab.replies).to_have_count(0)
    expect(tab.status).to_have_text("")
    tab.page.get_by_role("button", name="Prompt").click()
    expect(tab.page.get_by_label("Nothing yet")).to_have_value("")
    tab.ask("Second")
    tab.says("Second", "Re: Second")
    assert "First" not in engine.prompts[-1]


def test_clear_while_a_reply_is_written_stops_it(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(slow_talk, PACE)
    tab = visit(serve(engine))
    tab.send("Talk")
    expect(tab.replies).to_contain_text("word1")
    tab.button("Clear").click()
    expect(tab.box).to_be_editable()
    expect(tab.chat.get_by_text("Say something.")).to_be_visible()
    assert idle_within(2, engine)
    tab.ask("Next")
    tab.says("Next", "Yes.")
    assert "Talk" not in engine.prompts[-1]


def test_a_conversation_that_outgrows_the_model_says_so(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(echo)
    engine.window = 400
    tab = visit(serve(engine))
    tab.ask("First " * 10)
    tab.ask("Second " * 10)
    expect(tab.status).to_contain_text("its oldest turn is left out")
    assert "First" not in engine.prompts[-1]
    expect(tab.messages).to_have_count(2)


# Errors


def fails_once(message: str) -> Callable[[str], str]:
    """Raise for the first prompt, answer the others."""
    errors = [EngineError(message)]

    def script(prompt: str) -> str:
        if errors:
            raise errors.pop()
        return echo(prompt)

    return script


def test_an_error_is_one_sentence_and_the_next_message_works(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(fails_once("The model failed. Please try again."))
    tab = visit(serve(engine))
    tab.send("Hi")
    expect(tab.toasts).to_contain_text("The model failed. Please try again.")
    tab.settled("Failed: The model failed. Please try again.")
    expect(tab.box).to_have_value("Hi")
    expect(tab.messages).to_have_count(0)
    expect(tab.page.get_by_text("Traceback")).to_have_count(0)
    tab.box.press("Enter")
    tab.says("Hi", "Re: Hi")
    tab.settled("Finished:")


def test_an_error_on_the_way_keeps_what_was_said(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(fails_once("The model failed. Please try again."), partly="So far")
    tab = visit(serve(engine))
    tab.send("Hi")
    tab.settled("Failed: The model failed. Please try again.")
    tab.says("Hi", "So far")
    expect(tab.box).to_have_value("")
    engine.partly = ""
    tab.ask("Go on")
    tab.says("Hi", "So far", "Go on", "Re: Go on")
    assert "assistant: So far" in engine.prompts[-1]


# Several people


def test_a_page_loads_at_once_while_someone_elses_reply_is_written(
    serve: Serve, visit: Visit
) -> None:
    url = serve(ScriptedEngine(lambda _: TALK, PACE))
    busy = visit(url)

    def seconds_to_load() -> float:
        started = time.monotonic()
        visit(url)
        return time.monotonic() - started

    before = seconds_to_load()
    busy.send("Talk")
    expect(busy.replies).to_contain_text("word1")
    assert seconds_to_load() < 2 * before + 1
    expect(busy.status).to_contain_text("Writing: ")


def test_who_waits_sees_their_place_in_the_line(serve: Serve, visit: Visit) -> None:
    url = serve(ScriptedEngine(slow_talk, PACE))
    first, second, third = visit(url), visit(url), visit(url)
    first.send("Talk")
    expect(first.replies).to_contain_text("word0")
    second.send("Hi")
    expect(second.status).to_contain_text("Waiting: 1 person is ahead of you…")
    third.send("Hello")
    expect(third.status).to_contain_text("Waiting: 2 people are ahead of you…")
    second.stop_button.click()
    second.settled("Stopped before the first word")
    expect(second.box).to_have_value("Hi")
    expect(third.status).to_contain_text("Waiting: 1 person is ahead of you…")
    first.stop_button.click()
    third.says("Hello", "Yes.")


def test_a_full_line_says_so_and_gives_the_message_back(serve: Serve, visit: Visit) -> None:
    url = serve(ScriptedEngine(lambda _: TALK, PACE), max_waiting=0)
    first, second = visit(url), visit(url)
    first.send("Talk")
    expect(first.replies).to_contain_text("word0")
    second.send("Hi")
    second.settled("Failed: The queue is full: 1 ")
    expect(second.box).to_have_value("Hi")


@pytest.mark.parametrize("reading", [AGES, 0], ids=["while reading", "while writing"])
def test_a_closed_tab_frees_the_model(serve: Serve, visit: Visit, reading: float) -> None:
    engine = ScriptedEngine(lambda _: TALK, PACE, reading)
    tab = visit(serve(engine))
    tab.send("Read this")
    expect(tab.status).to_contain_text("Reading" if reading else "Writing")
    assert engine.active == 1
    tab.page.close()
    assert idle_within(5, engine)


def test_a_reload_frees_the_model_and_gives_a_new_page(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(slow_talk, PACE)
    tab = visit(serve(engine))
    tab.send("Talk")
    expect(tab.replies).to_contain_text("word0")
    tab.page.reload()
    expect(tab.chat.get_by_text("Say something.")).to_be_visible()
    assert idle_within(5, engine)
    expect(tab.status).to_have_text("")
    tab.ask("Hi")
    tab.says("Hi", "Yes.")
    assert "Talk" not in engine.prompts[-1]


# What the model writes


def test_html_from_the_model_is_never_executed(serve: Serve, visit: Visit) -> None:
    attack = (
        "<script>document.title='hit'</script><img src=x onerror=\"document.title='hit'\">"
        "<svg onload=\"document.title='hit'\"></svg><a href=\"javascript:document.title='hit'\">"
        "link</a><iframe srcdoc=\"<script>parent.document.title='hit'</script>\"></iframe> end."
    )
    tab = visit(serve(ScriptedEngine(lambda _: attack)))
    tab.ask("Attack")
    expect(tab.replies).to_contain_text("end.")
    tab.replies.get_by_text("link").click()
    assert tab.page.title() == "Fourbit Chat"
    for danger in ("script", "iframe", "[onerror]", "[onload]", "[href^=javascript]"):
        expect(tab.replies.locator(danger)).to_have_count(0)


def test_html_from_the_model_stays_in_its_bubble(serve: Serve, visit: Visit) -> None:
    cover = "<div style='position: fixed; inset: 0; z-index: 9999; background: red'>Mine!</div>"
    tab = visit(serve(ScriptedEngine(lambda _: cover)))
    tab.ask("Cover the page")
    expect(tab.replies).to_contain_text("Mine!")
    tab.page.get_by_role("heading", name="Fourbit Chat").click()  # it is in reach
    tab.messages.click()


def test_angle_brackets_do_not_vanish(serve: Serve, visit: Visit) -> None:
    text = "If a < b and <thing> or vector<int> & #include <map.h> then a > b."
    tab = visit(serve(ScriptedEngine(lambda _: text)))
    tab.ask(text)
    tab.says(text, text)


def test_code_keeps_its_indentation(serve: Serve, visit: Visit) -> None:
    code = "def f(x):\n    if x:\n        return x\n"
    engine = ScriptedEngine(lambda _: f"Here:\n\n```python\n{code}```")
    tab = visit(serve(engine))
    tab.ask("Code?")
    expect(tab.replies.locator("pre code")).to_have_text(code, use_inner_text=True)
    assert tab.replies.locator("pre code").inner_text() == code


def test_indentation_survives_into_the_next_prompt_and_the_box(serve: Serve, visit: Visit) -> None:
    code = "if a:\n    b()\n    c()"
    engine = ScriptedEngine(lambda _: code)
    tab = visit(serve(engine))
    tab.ask(code)
    tab.ask("Next")
    assert f"user: {code}\0assistant: {code}\0" in engine.prompts[1]
    tab.button("Undo").click()
    expect(tab.box).to_have_value("Next")
    tab.button("Undo").click()
    expect(tab.box).to_have_value(code)


def test_nothing_goes_to_another_host(serve: Serve, visit: Visit) -> None:
    pictures = (
        "![a](https://elsewhere.test/a.png) <img src='https://elsewhere.test/b.png'>"
        "<video src='https://elsewhere.test/c.mp4'></video>"
        "<p style='background: url(https://elsewhere.test/d.png)'>end.</p>"
    )
    tab = visit(serve(ScriptedEngine(lambda _: pictures)))
    tab.ask("Show me")
    expect(tab.replies).to_contain_text("end.")
    tab.page.get_by_role("button", name="Settings").click()
    expect(tab.page.get_by_label("System prompt")).to_be_visible()
    tab.page.wait_for_function("[...document.images].every(image => image.complete)")
    assert tab.elsewhere == []


# Settings


def test_settings_reach_the_engine(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(echo)
    tab = visit(serve(engine))
    tab.page.get_by_role("button", name="Settings").click()
    tab.page.get_by_label("System prompt").fill("Rhyme.")
    values = {
        "Max new tokens": 5,
        "Temperature": 1.25,
        "Top-p": 0.5,
        "Top-k": 7,
        "Repetition penalty": 1.5,
    }
    for label, value in values.items():
        tab.setting(label, str(value))
    tab.send("Hi there")
    tab.settled("Cut off at the length limit: 5 tokens")
    assert list(engine.samplings[0].model_dump().values()) == list(values.values())
    assert engine.prompts[0].startswith("system: Rhyme.")
    tab.says("Hi there", "Re: H")


@pytest.mark.parametrize(("label", "value", "used"), [("Temperature", "9", 2), ("Top-k", "-3", 0)])
def test_a_setting_out_of_range_goes_to_its_end_where_it_can_be_seen(
    serve: Serve, visit: Visit, label: str, value: str, used: float
) -> None:
    engine = ScriptedEngine(echo)
    tab = visit(serve(engine))
    tab.page.get_by_role("button", name="Settings").click()
    tab.setting(label, value)
    expect(tab.page.get_by_label(f"number input for {label}")).to_have_value(str(used))
    tab.ask("Hi")
    assert getattr(engine.samplings[0], label.lower().replace("-", "_")) == used


def test_the_prompt_of_the_last_turn_can_be_looked_at(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(echo)
    tab = visit(serve(engine))
    tab.ask("Hi")
    tab.ask("Next")
    tab.page.get_by_role("button", name="Prompt").click()
    shown = tab.page.locator("#prompt textarea")
    fed = engine.prompts[-1].replace("\0", "|")
    expect(shown).to_have_value(fed)
    expect(tab.page.locator("#prompt")).to_contain_text(f"{len(fed):,} tokens")
    expect(shown).not_to_be_editable()
