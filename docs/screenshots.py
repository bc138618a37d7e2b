"""Takes the pictures in the README, and of every state of the page.

    python docs/screenshots.py            docs/*.png, with the embedded model
    python docs/screenshots.py FOLDER     every state, with scripted replies, into FOLDER

Needs requirements-dev.txt and Chromium. The states are there to be looked at after a
change of the page: on a desk, a phone and a wide screen, and at a zoom of 200 %.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from playwright.sync_api import Browser, Page, expect, sync_playwright

from chat.errors import FAILED, EngineError
from chat.load import load
from chat.settings import Settings
from chat.web import serve
from chat.web.page import page
from tests.conftest import serving
from tests.support.fakes import ScriptedEngine, ThinkingFormat, last_message
from tests.support.tab import AGES, CHROMIUM, FLAGS

DOCS = Path(__file__).parent
SCREENS: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1100, "height": 820}, "color_scheme": "light"},
    "phone": {"viewport": {"width": 390, "height": 780}, "color_scheme": "dark"},
    "wide": {"viewport": {"width": 1600, "height": 900}, "color_scheme": "dark"},
    # As the desk's browser has it at a zoom of 200 %.
    "zoom": {
        "viewport": {"width": 550, "height": 410},
        "device_scale_factor": 2,
        "color_scheme": "light",
    },
}
#: Nothing is caught on its way.
STILL: dict[str, Any] = {"reduced_motion": "reduce"}
REPLY = """Of course. This is **how**:

```python
def greet(name: str) -> str:
    return f"Hello, {name}!"  # as it is
```

1. It takes a name, <b>any</b> name.
2. It gives back a greeting; \\(a^2 + b^2 = c^2\\) has nothing to do with it."""


THOUGHT = "They want to greet someone. I can:\n\n- write a *function*,\n- say what it does."


def script(prompt: str) -> str:
    """Return the reply to a prompt of the scripted model, or fail if it is asked to."""
    if last_message(prompt) == "Fail":
        raise EngineError(FAILED)
    return REPLY


def varied() -> Callable[[str], str]:
    """Return a script that says something else each time."""
    numbers = count(1)
    return lambda _: f"{REPLY}\n\nThis is answer {next(numbers)}."


def thinks(prompt: str) -> str:
    """Return the same with a thought before it, or what is missing of the two."""
    whole = f"<think>\n{THOUGHT}\n</think>\n\n{REPLY}"
    return whole.removeprefix(prompt.rpartition("assistant: ")[2])


class Person:
    """Somebody at the page."""

    def __init__(self, tab: Page, url: str) -> None:
        tab.goto(url)
        self.tab = tab
        self.box = tab.locator("#message textarea")
        expect(self.box).to_be_editable(timeout=60_000)

    def send(self, text: str, until: str) -> None:
        """Send a message, and wait until the status line says something."""
        self.box.fill(text)
        self.box.press("Enter")
        self.sees(until)

    def sees(self, status: str) -> None:
        """Wait for the status line."""
        line = self.tab.locator("#status")
        expect(line).to_contain_text(re.compile(status), timeout=120_000)
        self.tab.wait_for_timeout(600)  # what slides or fades is still then

    def click(self, button: str) -> None:
        """Click the first button of a name."""
        self.tab.get_by_role("button", name=button).first.click()

    def picture(self, file: Path) -> None:
        """Take a picture of what is in the window."""
        self.tab.screenshot(path=file)
        print(file.name)


def take_states(browser: Browser, folder: Path) -> None:
    """Take a picture of every state of the page, on each screen."""
    for screen, options in SCREENS.items():

        @contextmanager
        def at(engine: ScriptedEngine, locale: str = "en-US", **settings: Any) -> Iterator[Person]:
            context = browser.new_context(**options, **STILL, locale=locale)  # noqa: B023
            with serving() as start:
                yield Person(context.new_page(), start(engine, **settings))
            context.close()

        def name(state: str) -> Path:
            return folder / f"{screen}-{state}.png"  # noqa: B023

        with at(ScriptedEngine(script)) as person:
            person.picture(name("empty"))
            person.send("How do I greet someone in Python?", "Finished")
            person.picture(name("reply"))
            person.click("Settings")
            person.tab.wait_for_timeout(600)
            person.picture(name("settings"))
        with at(ScriptedEngine(script), feedback=folder / "ratings.jsonl") as person:
            files = person.tab.locator("#composer input[type=file]")
            files.set_input_files([DOCS / "models.md", DOCS.parent / "app.py"])
            expect(person.tab.locator("#files li")).to_have_count(2)
            person.picture(name("files"))
            person.send("What is in there?", "Finished")
            person.picture(name("files-sent"))
            person.click("Edit")
            person.tab.wait_for_timeout(600)
            person.picture(name("editing"))
        with at(ScriptedEngine(varied())) as person:
            person.send("How do I greet someone in Python?", "Finished")
            person.click("Retry")
            person.sees("Finished")
            person.click("How this reply was made")
            person.tab.get_by_text("by itself").scroll_into_view_if_needed()
            person.picture(name("versions"))
            person.click("Delete message")
            expect(person.tab.get_by_text("is deleted")).to_be_visible()
            person.picture(name("deleted"))
        with at(ScriptedEngine(script), locale="ar-EG") as person:
            person.box.fill("مرحبا")
            person.box.press("Enter")
            person.tab.wait_for_timeout(2500)
            person.picture(name("arabic"))
            person.tab.locator("#header button[value=drawer]").click()
            person.tab.wait_for_timeout(600)
            person.picture(name("arabic-settings"))
        long = ScriptedEngine(lambda _: REPLY + 3 * f"\n\n{REPLY}", pace=0.002)
        with at(long, max_new_tokens=1000) as person:
            person.send("At length, please.", "Cut off|Finished")
            person.tab.evaluate("document.querySelector('#conversation').scrollBy(0, -400)")
            expect(person.tab.get_by_role("button", name="To the end")).to_be_visible()
            person.picture(name("scrolled"))
        with at(ScriptedEngine(script, pace=0.02)) as person:
            person.send("How do I greet someone in Python?", "Writing")
            person.picture(name("writing"))
            person.click("Stop")
            person.sees("Stopped")
            person.picture(name("stopped"))
            person.send("Fail", "Failed")
            person.picture(name("failed"))
            person.send("x" * 20_000, "characters")
            person.picture(name("too-long"))
        with at(ScriptedEngine(thinks, pace=0.02), format=ThinkingFormat()) as person:
            person.send("How do I greet someone in Python?", "Thinking")
            person.picture(name("thinking"))
            person.click("Stop")
            person.sees("Stopped")
            person.picture(name("thought-stopped"))
            person.click("Continue")
            person.sees("Finished")
            person.picture(name("thought-folded"))
            person.click("Thought for")
            person.tab.get_by_text("Thought for").scroll_into_view_if_needed()
            person.tab.wait_for_timeout(600)
            person.picture(name("thought-open"))
            person.click("Settings")
            person.tab.get_by_label("Thinking budget").scroll_into_view_if_needed()
            person.tab.wait_for_timeout(600)
            person.picture(name("settings-thinking"))
        with at(ScriptedEngine(script, reading=AGES), max_waiting=1) as person:
            person.send("Hello", "Reading")
            person.picture(name("reading"))
            second, third = (Person(person.tab.context.new_page(), person.tab.url) for _ in "23")
            second.send("And me?", "Waiting")
            second.picture(name("waiting"))
            third.send("And me?", "full")
            third.picture(name("full"))
        with at(ScriptedEngine(script), max_new_tokens=40) as person:
            for number in range(9):
                person.send(f"{number} " + "and so on " * 20, "Cut off")
            person.picture(name("trimmed"))
    (folder / "ratings.jsonl").unlink(missing_ok=True)


def take_pictures(browser: Browser) -> None:
    """Take the pictures in the README."""
    settings = Settings(model="embedded", temperature=0)
    chat = load(settings)
    built = page.build(chat, settings)
    url = serve.launch(built, settings, block=False)
    for screen, file in (("desk", "chat.png"), ("phone", "phone.png")):
        context = browser.new_context(**SCREENS[screen], device_scale_factor=1.5)
        person = Person(context.new_page(), url)
        if screen == "desk":  # where there is room to see the conversations before
            for said in ("Give me three ideas for a rainy Sunday.", "Why is the sky blue?"):
                person.send(said, "Writing")
                person.sees("Finished")
                person.click("New chat")
                expect(person.box).to_be_editable()
        for said in (
            "What is the capital of France?",
            "Write a Python function that adds two numbers. Be brief.",
        ):
            person.send(said, "Writing")
            person.sees("Finished")
        person.picture(DOCS / file)
    built.close()
    chat.engine.close()


def main(arguments: list[str]) -> None:
    """Take what was asked for."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        if arguments:
            folder = Path(arguments[0])
            folder.mkdir(parents=True, exist_ok=True)
            take_states(browser, folder)
        else:
            take_pictures(browser)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
