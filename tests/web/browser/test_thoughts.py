"""What a model thinks before it replies, as a person sees it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine, ThinkingFormat, last_message
from tests.support.tab import PACE, Locator, Tab, Visit, expect

THOUGHT = "They greet me: is 1 < 2? `x` *so*.\n\nOne, two, three, four, five, six, seven, eight."
REPLY = "**Hello** there!\n\n- 2*3*4"
SEEN = "They greet me: is 1 < 2? x so."
FIGURES = re.compile(r"^\s*Thought for (under 1|\d+) s, \d+ tokens\s*$")


def thinks(prompt: str) -> str:
    """Go on with what is there of a thought and the reply after it."""
    whole = f"<think>\n{THOUGHT}\n</think>\n\n{last_message(prompt)}: {REPLY}"
    return whole.removeprefix(prompt.rpartition("assistant: ")[2])


def tab_with(engine: ScriptedEngine, serve: Serve, visit: Visit, **settings: Any) -> Tab:
    return visit(serve(engine, format=ThinkingFormat(), **settings))


def titles(tab: Tab) -> Locator:
    return tab.chat.get_by_role("button", name=re.compile("^(Thought|Thinking)"))


def thoughts(tab: Tab) -> Locator:
    return tab.chat.get_by_text(re.compile("^They"))


def ask(tab: Tab, message: str) -> None:
    answered = titles(tab).count()
    tab.send(message)
    expect(titles(tab)).to_have_count(answered + 1)
    tab.settled("Finished:")


def stopped(tab: Tab, message: str = "Hi") -> str:
    """Stop in the middle of a thought, and return what was thought."""
    tab.send(message)
    expect(thoughts(tab).last).to_be_visible()
    expect(tab.status).to_have_text(re.compile("^Thinking: "))
    tab.stop_button.click()
    tab.settled("Stopped: ")
    expect(tab.button("Continue")).to_be_visible()
    return thoughts(tab).last.inner_text().strip()


def test_a_thought_grows_open_and_is_folded_when_the_reply_begins(
    serve: Serve, visit: Visit
) -> None:
    tab = tab_with(ScriptedEngine(thinks, PACE), serve, visit)
    tab.send("Hi")
    expect(titles(tab)).to_have_text(re.compile(r"^\s*Thinking, (under 1|\d+) s\s*$"))
    expect(titles(tab)).to_have_attribute("aria-expanded", "true")
    expect(tab.status).to_have_text(re.compile(r"^Thinking: \d+ tokens, "))
    expect(thoughts(tab)).to_have_text(SEEN)
    expect(titles(tab)).to_have_text(re.compile(r"^\s*Thinking, [1-9]\d* s\s*$"))
    expect(tab.status).to_have_text(re.compile(r"^Writing: "))
    expect(titles(tab)).to_have_text(FIGURES)
    expect(titles(tab)).to_have_attribute("aria-expanded", "false")
    expect(thoughts(tab)).to_be_hidden()
    tab.settled("Finished:")
    expect(tab.replies.last).to_contain_text("Hi: Hello there!")


def test_a_folded_thought_is_opened_with_mouse_and_keyboard(serve: Serve, visit: Visit) -> None:
    tab = tab_with(ScriptedEngine(thinks), serve, visit)
    ask(tab, "Hi")
    title = titles(tab)
    expect(title).to_have_text(FIGURES)
    tab.page.get_by_text("Thought for").click()
    expect(thoughts(tab)).to_be_visible()
    for key, after in (("Enter", "false"), (" ", "true"), (" ", "false"), ("Enter", "true")):
        title.focus()
        tab.page.keyboard.press(key)
        expect(title).to_have_attribute("aria-expanded", after)
    expect(thoughts(tab)).to_have_text(SEEN)
    tab.page.keyboard.press("Tab")
    assert title.evaluate("one => !one.contains(document.activeElement)")


def test_what_is_copied_is_the_reply(serve: Serve, visit: Visit) -> None:
    tab = tab_with(ScriptedEngine(thinks), serve, visit)
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    read = "() => navigator.clipboard.readText()"
    ask(tab, "Hi")
    tab.button("Copy message").last.click()
    expect(tab.button("Copied message")).to_be_visible()
    assert tab.page.evaluate(read) == f"Hi: {REPLY}"
    ask(tab, "1 < 2?")
    tab.button("Copy conversation").click()
    expect(tab.button("Copied conversation")).to_be_visible()
    talk = f"user: Hi\n\nassistant: Hi: {REPLY}\n\nuser: 1 < 2?\n\nassistant: 1 < 2?: {REPLY}"
    assert tab.page.evaluate(read) == talk


def test_of_a_thought_without_a_reply_nothing_is_copied(serve: Serve, visit: Visit) -> None:
    tab = tab_with(ScriptedEngine(thinks, PACE), serve, visit)
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    stopped(tab)
    tab.button("Copy conversation").click()
    expect(tab.button("Copied conversation")).to_be_visible()
    assert tab.page.evaluate("() => navigator.clipboard.readText()") == "user: Hi\n\nassistant: "


def test_a_thought_that_was_stopped_stays_and_goes_on(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(thinks, PACE)
    tab = tab_with(engine, serve, visit)
    said = stopped(tab)
    expect(titles(tab)).to_have_text(FIGURES)
    expect(titles(tab)).to_have_attribute("aria-expanded", "true")
    engine.pace = 0
    tab.button("Continue").click()
    expect(tab.replies.last).to_contain_text("Hi: Hello there!")
    tab.settled("Finished:")
    # As it is seen: it may have been stopped within marks of Markdown.
    assert f"assistant: <think>\n{said}" in re.sub("[`*]", "", engine.prompts[-1])
    expect(titles(tab)).to_have_count(1)
    expect(titles(tab)).to_have_attribute("aria-expanded", "false")
    titles(tab).click()
    expect(thoughts(tab)).to_have_text(SEEN)
    whole = int(titles(tab).inner_text().split(", ")[1].split()[0])
    assert whole >= len(THOUGHT) - 2  # those of both parts


def test_a_thought_that_was_cut_off_goes_on(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(thinks)
    tab = tab_with(engine, serve, visit, max_new_tokens=30)
    tab.send("Hi")
    tab.settled("Cut off at the length limit: 30 tokens")
    expect(thoughts(tab)).to_be_visible()
    tab.page.get_by_role("button", name="Settings").click()
    tab.setting("Max new tokens", "300")
    tab.button("Continue").click()
    tab.settled("Finished:")
    expect(thoughts(tab)).to_be_hidden()
    expect(tab.replies.last).to_contain_text("Hi: Hello there!")


def test_a_reply_that_was_stopped_keeps_its_thought_and_goes_on(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(thinks)
    most = len(f"<think>\n{THOUGHT}\n</think>\n\nHi: **He")
    tab = tab_with(engine, serve, visit, max_new_tokens=most)
    tab.send("Hi")
    tab.settled("Cut off at the length limit")
    before = titles(tab).inner_text()
    tab.button("Continue").click()
    tab.settled("Finished:")
    expect(tab.replies.last).to_contain_text("Hi: Hello there!")
    expect(titles(tab)).to_have_text(before.strip())
    assert engine.prompts[-1].endswith(f"<think>\n{THOUGHT}\n</think>\n\nHi: **He")


def test_a_thought_that_never_ends_stays_open(serve: Serve, visit: Visit) -> None:
    tab = tab_with(ScriptedEngine(lambda prompt: f"<think>\n{THOUGHT}"), serve, visit)
    ask(tab, "Hi")
    expect(titles(tab)).to_have_text(FIGURES)
    expect(thoughts(tab)).to_have_text(SEEN)
    expect(tab.button("Continue")).to_be_hidden()
    ask(tab, "Still?")
    expect(titles(tab)).to_have_count(2)


def test_what_is_stopped_before_the_thought_leaves_nothing(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(thinks, reading=600)
    tab = tab_with(engine, serve, visit)
    tab.send("Hi")
    expect(tab.status).to_contain_text("Reading")
    tab.stop_button.click()
    tab.settled("Stopped before the first word")
    expect(tab.box).to_have_value("Hi")
    expect(tab.replies).to_have_count(0)


def test_messages_are_edited_retried_and_undone_with_their_thoughts(
    serve: Serve, visit: Visit
) -> None:
    engine = ScriptedEngine(thinks)
    tab = tab_with(engine, serve, visit)
    for message in ("One", "Two", "Three"):
        ask(tab, message)
    tab.edit(1, "Zwei")
    expect(tab.replies.last).to_contain_text("Zwei: ")
    tab.settled("Finished:")
    expect(tab.messages).to_have_text(["One", "Zwei"])
    expect(titles(tab)).to_have_count(2)
    assert "user: One\0assistant: One: **Hello**" in engine.prompts[-1]
    assert "T" not in engine.prompts[-1]
    engine.script = lambda prompt: f"{thinks(prompt)} again"
    tab.button("Retry").click()
    expect(tab.replies.last).to_contain_text("again")
    tab.settled("Finished:")
    assert engine.prompts[-1] == engine.prompts[-2]
    expect(titles(tab)).to_have_count(2)
    tab.button("Undo").click()
    expect(tab.box).to_have_value("Zwei")
    expect(titles(tab)).to_have_count(1)
    engine.script = lambda prompt: "No."
    tab.edit(0, " ")
    expect(tab.toasts).to_contain_text("Please write a message first.")
    expect(tab.messages).to_have_text(["One"])


def exported(tab: Tab, name: str) -> str:
    with tab.page.expect_download() as download:
        tab.button(name).click()
    return Path(download.value.path()).read_text("utf-8")


def messages(tab: Tab) -> Any:
    (conversation,) = json.loads(exported(tab, "Export all"))["conversations"]
    return [{**one, "made": None} for one in conversation["messages"]]


def test_a_saved_conversation_keeps_its_thoughts(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(thinks)
    tab = tab_with(engine, serve, visit)
    ask(tab, "Hi")
    said = [
        {"role": "user", "content": "Hi", "made": None},
        {
            "role": "assistant",
            "content": f"Hi: {REPLY}",
            "reasoning_content": THOUGHT,
            "made": None,
        },
    ]
    assert messages(tab) == said
    assert "> **Thought**\n>\n> They greet me" in exported(tab, "Markdown")
    tab.page.reload()
    expect(titles(tab)).to_have_text("Thought")
    expect(thoughts(tab)).to_be_hidden()
    titles(tab).click()
    expect(thoughts(tab)).to_have_text(SEEN)
    ask(tab, "More")
    assert messages(tab)[:2] == said
    other = visit(tab.page.url)
    file = exported(tab, "Export all").encode()
    with other.page.expect_file_chooser() as chooser:
        other.button("Import").click()
    content = {"name": "a.json", "mimeType": "application/json", "buffer": file}
    chooser.value.set_files([content])
    other.button("Open").click()
    expect(titles(other)).to_have_count(2)
    assert messages(other) == messages(tab)


def test_a_saved_thought_without_a_reply_goes_on_after_a_reload(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(thinks, PACE)
    tab = tab_with(engine, serve, visit)
    said = stopped(tab)
    (_, thought) = messages(tab)
    assert thought["content"] == ""
    tab.page.reload()
    expect(thoughts(tab)).to_have_text(said)
    engine.pace = 0
    ask(tab, "More")
    expect(titles(tab)).to_have_count(2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_and_for_a_screen_reader_a_thought_is_whole(
    serve: Serve, visit: Visit, scheme: str
) -> None:
    long = f"<think>\n{THOUGHT} {'a' * 300}\n</think>\n\nYes."
    tab = tab_with(ScriptedEngine(lambda prompt: long), serve, visit)
    tab.page.set_viewport_size({"width": 390, "height": 800})
    tab.page.emulate_media(color_scheme=scheme)
    tab.page.reload()
    ask(tab, "Hi")
    titles(tab).click()
    expect(thoughts(tab)).to_be_visible()
    tab.page.get_by_role("button", name="Settings").click()
    expect(tab.page.get_by_label("Thinking budget")).to_be_visible()
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    box = titles(tab).bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    faults = Axe().run(tab.page).response["violations"]
    found = {(fault["id"], node["html"]) for fault in faults for node in fault["nodes"]}
    assert {html for _, html in found if "thought" in html or "title" in html} == set()


def test_the_controls_of_thinking_are_for_models_that_think(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(thinks)
    tab = tab_with(engine, serve, visit)
    tab.page.get_by_role("button", name="Settings").click()
    tab.page.get_by_label("Thinking", exact=True).click()
    ways = [re.compile(f"{way}\\s*$") for way in ("As the model does", "On", "Off")]
    expect(tab.page.get_by_role("option")).to_have_text(ways)
    tab.page.get_by_role("option").last.click()
    tab.setting("Thinking budget", "7")
    tab.send("Hi")
    tab.settled("Finished:")
    assert engine.samplings[0].thinking == "off"
    assert engine.samplings[0].thinking_budget == 7
    other = visit(serve(ScriptedEngine()))
    other.page.get_by_role("button", name="Settings").click()
    expect(other.page.get_by_label("Temperature").first).to_be_visible()
    expect(other.page.get_by_label("Thinking")).to_have_count(0)


def test_who_unfolds_a_thought_at_the_end_reads_it_from_its_beginning(
    serve: Serve, visit: Visit
) -> None:
    long = "\n\n".join(f"T {number}" for number in range(60))
    tab = tab_with(ScriptedEngine(lambda _: f"<think>\n{long}\n</think>\n\nYes."), serve, visit)
    ask(tab, "Hi")
    titles(tab).click()
    expect(tab.chat.get_by_text("T 59", exact=True)).to_be_attached()
    expect(tab.button("To the end")).to_be_visible()
    expect(titles(tab)).to_be_in_viewport()


def test_who_folds_a_thought_at_the_end_stays_there(serve: Serve, visit: Visit) -> None:
    said = "\n\n".join(f"Line {number}." for number in range(30))
    long = "\n\n".join(f"T {number}" for number in range(8))
    script = ScriptedEngine(lambda _: f"<think>\n{long}\n</think>\n\n{said}", PACE / 2)
    tab = tab_with(script, serve, visit)
    tab.send("Hi")
    expect(tab.chat.get_by_text("T 2", exact=True)).to_be_visible()
    titles(tab).click()
    tab.settled("Finished:")
    expect(tab.chat.get_by_text("Line 29.")).to_be_in_viewport()
    expect(tab.button("To the end")).to_be_hidden()
