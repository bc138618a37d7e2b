"""Saved conversations, as a person sees them."""

import json
import random
import re
import string
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from chat.errors import EngineError
from chat.web.page.page import Page
from chat.web.page.panel.saved import SavedConversations
from chat.web.page.turn import Turn
from tests.conftest import DATA, Serve, serving
from tests.support.fakes import ScriptedEngine
from tests.support.tab import (
    PACE,
    Browser,
    BrowserContext,
    Tab,
    Visit,
    echo,
    expect,
    idle_within,
    slow_talk,
)

AsWith = Callable[..., BrowserContext]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """One server for all that need no other."""
    with serving() as serve:
        yield serve(ScriptedEngine(echo))


EXPORTED = {"format": "fourbit-chat", "version": 1}


def listed(tab: Tab, *titles: str) -> None:
    """Wait until the panel lists exactly these."""
    expect(tab.page.locator("#panel li > button")).to_have_text(list(titles))


def open_one(tab: Tab, title: str) -> None:
    tab.page.locator("#panel li").get_by_role("button", name=title, exact=True).click()
    expect(tab.page.locator("#panel [aria-current]")).to_have_text(title)


def told(tab: Tab, sentence: str) -> None:
    expect(tab.page.locator("#saying span")).to_have_text(sentence)


def choose(tab: Tab, *contents: bytes, names: Sequence[str] = ("talk.json",)) -> None:
    folder = Path(tempfile.mkdtemp(dir=DATA.name))
    files = [folder / name for name in names]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    tab.page.locator("#panel input[type=file]").set_input_files(files)


def exported(tab: Tab, button: str) -> Any:
    with tab.page.expect_download() as download:
        tab.button(button).click()
    return json.loads(Path(download.value.path()).read_text("utf-8"))


def wait_for_saving(tab: Tab) -> None:
    """Wait until the last word on the screen is saved, as an export does."""
    exported(tab, "Export all")


def kept(tab: Tab) -> dict[str, str]:
    return tab.page.evaluate("Object.fromEntries(Object.entries(localStorage))")


# They last


def test_a_conversation_survives_a_reload_and_a_restart_of_the_server(
    visit: Visit, tmp_path: Path
) -> None:
    with serving() as serve:
        url = serve(ScriptedEngine(echo), data_dir=tmp_path)
        tab = visit(url)
        tab.ask("Is < less?")
        wait_for_saving(tab)
        assert kept(tab)
        assert "less" not in str(kept(tab))  # nobody else can read it
        tab.new_chat()
        tab.says()
        tab.ask("Another")
        wait_for_saving(tab)
    engine = ScriptedEngine(echo)
    port = int(url.strip("/").rpartition(":")[2])
    with serving() as serve:
        serve(engine, data_dir=tmp_path, server_port=port)
        tab.page.goto(url)
        tab.says("Another", "Re: Another")
        listed(tab, "Another", "Is < less?")
        open_one(tab, "Is < less?")
        tab.says("Is < less?", "Re: Is < less?")
        tab.ask("More")
        assert "user: Is < less?\0assistant: Re: Is < less?\0user: More" in engine.prompts[-1]
        listed(tab, "Is < less?", "Another")
    with serving() as serve:  # as after a folder was lost
        serve(ScriptedEngine(echo), data_dir=tmp_path / "other", server_port=port)
        tab.page.goto(url)
        tab.ask("Afresh")
        listed(tab, "Afresh")
        expect(tab.page.locator("#saying")).to_be_empty()
    with serving() as serve:  # and when it was found
        serve(ScriptedEngine(echo), data_dir=tmp_path, server_port=port)
        tab.page.goto(url)
        listed(tab, "Is < less?", "Another")


def test_what_is_saved_is_what_is_on_the_screen(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(slow_talk, 0.02)
    tab = visit(serve(engine))

    def saved(*conversation: str) -> None:
        file = exported(tab, "Export all")["conversations"]
        assert [[entry["content"] for entry in one["messages"]] for one in file] == [
            list(conversation)
        ]

    tab.ask("One")
    saved("One", "Yes.")
    tab.send("Talk")
    expect(tab.replies.last).to_contain_text("word1")
    saved("One", "Yes.", "Talk")
    tab.stop_button.click()
    tab.settled("Stopped: ")
    said = tab.replies.last.inner_text().strip()
    saved("One", "Yes.", "Talk", said)
    tab.edit(1, "Two")
    tab.settled("Finished:")
    saved("One", "Yes.", "Two", "Yes.")
    engine.script = lambda _: "No."
    tab.button("Retry").last.click()
    expect(tab.replies.last).to_have_text("No.")
    tab.settled("Finished:")
    saved("One", "Yes.", "Two", "No.")
    tab.button("Undo").last.click()
    expect(tab.box).to_have_value("Two")
    saved("One", "Yes.")
    engine.script = fails
    tab.box.press("Enter")
    tab.settled("Failed")
    saved("One", "Yes.")
    tab.button("Undo").last.click()
    listed(tab)


def fails(prompt: str) -> str:
    raise EngineError("The model failed.")


# What can be done with them


def test_a_conversation_is_renamed_deleted_and_brought_back(url: str, visit: Visit) -> None:
    tab = visit(url)
    tab.ask("One")
    tab.new_chat()
    tab.ask("Two")
    tab.button("Rename").click()
    tab.page.get_by_label("Title").fill("Zwei <b>2</b>")
    tab.page.keyboard.press("Enter")
    listed(tab, "Zwei <b>2</b>", "One")
    tab.button("Delete").click()
    listed(tab, "One")
    tab.says()
    told(tab, "Deleted “Zwei <b>2</b>”.")
    tab.button("Restore").click()
    tab.says("Two", "Re: Two")
    listed(tab, "Zwei <b>2</b>", "One")
    tab.button("Clear").click()
    listed(tab, "One")
    open_one(tab, "One")
    tab.button("Restore").click()
    tab.says("Two", "Re: Two")
    open_one(tab, "One")
    tab.page.reload()
    tab.says("One", "Re: One")
    listed(tab, "Zwei <b>2</b>", "One")


def test_what_is_exported_can_be_imported_elsewhere(url: str, visit: Visit) -> None:
    tab = visit(url)
    for message in ("Rain\nor snow?", "Is a < b?"):
        tab.new_chat()
        tab.ask(message)
    one = exported(tab, "Export")
    assert [entry["content"] for entry in one["conversations"][0]["messages"]] == [
        "Is a < b?",
        "Re: Is a < b?",
    ]
    everything = exported(tab, "Export all")
    assert EXPORTED.items() <= everything.items()
    other = visit(url)
    choose(other, json.dumps(everything).encode())
    listed(other, "Is a < b?", "Rain or snow?")
    told(other, "Imported 2 conversations.")
    assert exported(other, "Export all") == everything
    open_one(other, "Is a < b?")
    other.says("Is a < b?", "Re: Is a < b?")
    others = [{"messages": [{"role": "user", "content": letter}]} for letter in "abcde"]
    choose(other, json.dumps({**EXPORTED, "conversations": others}).encode())
    listed(other, *"abcde", "Is a < b?", "Rain or snow?")


def test_a_greeting_of_the_assistants_is_kept(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(echo)
    tab = visit(serve(engine))
    greeting = {"role": "assistant", "content": "Welcome!"}
    said = [greeting, {"role": "user", "content": "Rain?"}, {"role": "assistant", "content": "No."}]
    choose(tab, json.dumps(said).encode())
    open_one(tab, "Rain?")
    tab.says("Welcome!", "Rain?", "No.")
    tab.ask("And now?")
    assert engine.prompts[-1].startswith(
        "system: You are a helpful assistant.\0assistant: Welcome!\0user: Rain?"
    )
    (saved,) = exported(tab, "Export all")["conversations"]
    assert saved["messages"][0] == greeting


CHATGPT = {
    "title": "Rain in Zwölf",
    "update_time": 1700000000.5,
    "current_node": "a",
    "mapping": {
        id: {"parent": parent, "message": {"author": {"role": role}, "content": {"parts": [text]}}}
        for id, parent, role, text in (
            ("s", None, "system", "Rhyme, always."),
            ("g", "s", "assistant", "Welcome!"),
            ("u", "g", "user", "Is 2 < 3? <b>"),
            ("other", "u", "assistant", "No."),
            ("a", "u", "assistant", "Yes, *always*."),
        )
    },
}
HI = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}


def test_what_another_program_exported_is_imported_and_gone_on_with(
    serve: Serve, visit: Visit
) -> None:
    engine = ScriptedEngine(echo)
    tab = visit(serve(engine))
    tab.ask("Mine")
    choose(tab, json.dumps([CHATGPT], ensure_ascii=False).encode("utf-16"))
    told(tab, "Imported 1 conversation.")
    listed(tab, "Mine", "Rain in Zwölf")
    tab.button("Open").click()
    tab.says("Welcome!", "Is 2 < 3? <b>", "Yes, always.")
    expect(tab.status).to_have_text(OWN_PROMPT)
    tab.ask("And 4?")
    assert engine.prompts[-1].startswith(
        "system: Rhyme, always.\0assistant: Welcome!\0user: Is 2 < 3? <b>\0assistant: Yes, *al"
    )
    wait_for_saving(tab)
    tab.page.reload()
    tab.says("Welcome!", "Is 2 < 3? <b>", "Yes, always.", "And 4?", "Re: And 4?")
    tab.ask("And 5?")
    assert engine.prompts[-1].startswith("system: Rhyme, always.\0assistant: Welcome!")


OWN_PROMPT = "This conversation has its own system prompt, which is in the settings."


def test_of_json_lines_those_that_can_be_read_are_imported(url: str, visit: Visit) -> None:
    tab = visit(url)
    lines = [json.dumps(HI), '{"messages": [', json.dumps([CHATGPT])]
    choose(tab, "\n".join(lines).encode(), names=["talk.jsonl"])
    told(tab, "Imported 2 of 3 conversations; 1 cannot be read.")
    listed(tab, "Hi", "Rain in Zwölf")
    expect(tab.button("Open")).to_be_hidden()
    open_one(tab, "Hi")
    tab.says("Hi", "Hello.")


def test_several_files_are_imported_at_once(url: str, visit: Visit) -> None:
    tab = visit(url)
    picture = b"\x89PNG\r\n"
    names = ["a.json", "<b>.png", "c.json"]
    choose(tab, json.dumps(HI).encode(), picture, json.dumps(CHATGPT).encode(), names=names)
    told(tab, "Imported 2 conversations. <b>.png is not JSON in UTF-8.")
    listed(tab, "Hi", "Rain in Zwölf")
    choose(tab, picture, b"", names=["x.png", "y.json"])
    told(tab, "x.png is not JSON in UTF-8. y.json is empty.")
    listed(tab, "Hi", "Rain in Zwölf")


def test_what_a_proxy_does_not_let_through_gets_a_sentence(url: str, visit: Visit) -> None:
    tab = visit(url)
    tab.page.route("**/saved_import", lambda route: route.fulfill(status=413, body="<html>"))
    choose(tab, json.dumps(HI).encode())
    told(tab, "This is too large for the server, or for a proxy in front of it.")
    listed(tab)


def test_a_conversation_is_exported_as_markdown(url: str, visit: Visit) -> None:
    tab = visit(url)
    choose(tab, json.dumps({**CHATGPT, "title": "../Rain: 2.5 <mm>?"}).encode())
    tab.button("Open").click()
    with tab.page.expect_download() as download:
        tab.button("Markdown").click()
    assert download.value.suggested_filename == "Rain 2.5 mm.md"
    assert Path(download.value.path()).read_bytes() == (
        b"# ../Rain: 2.5 <mm>?\n\n## System\n\nRhyme, always.\n\n## Assistant\n\nWelcome!\n\n"
        b"## User\n\nIs 2 < 3? <b>\n\n## Assistant\n\nYes, *always*.\n"
    )


def test_a_conversation_keeps_the_system_prompt_it_was_had_with(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(echo)
    tab = visit(serve(engine))

    def asked_with(system: str, message: str) -> None:
        tab.ask(message)
        beginning = f"system: {system}\0" if system else "user: "
        assert engine.prompts[-1].startswith(beginning)

    def rhyme(prompt: str) -> None:
        field = tab.page.get_by_label("System prompt")
        field.fill(prompt)
        field.press("Tab")

    usual = "You are a helpful assistant."
    asked_with(usual, "Plain")
    tab.new_chat()
    tab.page.get_by_role("button", name="Settings").click()
    rhyme("Rhyme.")
    asked_with("Rhyme.", "Poem")
    assert exported(tab, "Export")["conversations"][0]["messages"][0]["content"] == "Rhyme."
    tab.new_chat()
    rhyme("")
    asked_with("", "Nothing")
    for title, system in (
        ("Plain", usual),
        ("Poem", "Rhyme."),
        ("Nothing", ""),
        ("Poem", "Rhyme."),
    ):
        open_one(tab, title)
        expect(tab.page.get_by_label("System prompt")).to_have_value(system)
        expect(tab.status).to_have_text(OWN_PROMPT if system == "Rhyme." else "")
    tab.new_chat()  # as it was set last
    expect(tab.page.get_by_label("System prompt")).to_have_value("")
    open_one(tab, "Poem")
    tab.button("Clear").click()
    expect(tab.page.get_by_label("System prompt")).to_have_value("")
    tab.button("Restore").click()
    tab.says("Poem", "Re: Poem")
    asked_with("Rhyme.", "More")
    wait_for_saving(tab)
    tab.page.reload()
    tab.says("Poem", "Re: Poem", "More", "Re: More")
    asked_with("Rhyme.", "Again")
    tab.new_chat()
    asked_with(usual, "Afresh")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "This file is empty."),
        (b"\xff<script>", "This file is not JSON in UTF-8."),
        (b"[]", "This file holds no text."),
        (
            b'{"conversations": [], "format": "fourbit-chat", "version": 1}',
            "This file holds no conversations.",
        ),
        (
            json.dumps(
                {
                    **EXPORTED,
                    "conversations": [
                        {"messages": [{"role": "user", "content": "Good"}]},
                        {"messages": [{"role": "root", "content": "Evil"}]},
                    ],
                }
            ).encode(),
            "This file is no conversation and no export of some "
            "(conversations.1.messages.0.role is at fault).",
        ),
        (
            json.dumps([{"role": "user", "content": "a" * 1_000_000}]).encode(),
            "This conversation is too long.",
        ),
        (
            b" " * 25_000_001,
            "This file is too large to be imported: at once there may be 25 MB.",
        ),
    ],
    ids=["empty", "no JSON", "nothing said", "nothing", "half of it", "too long", "too large"],
)
def test_a_bad_file_gets_a_sentence_and_changes_nothing(
    refusing: Tab, content: bytes, problem: str
) -> None:
    before = kept(refusing)
    choose(refusing, content)
    told(refusing, problem)
    assert kept(refusing) == before
    listed(refusing, "Hi")
    refusing.button("Close").click()


def test_what_a_file_was_dated_can_be_exported_again(url: str, visit: Visit) -> None:
    tab = visit(url)
    early = {"saved": "0001-01-01T00:00:00+23:59", "messages": [{"role": "user", "content": "Old"}]}
    choose(tab, json.dumps({**EXPORTED, "conversations": [early]}).encode())
    listed(tab, "Old")
    (again,) = exported(tab, "Export all")["conversations"]
    assert again["messages"] == early["messages"]


def test_enter_that_chooses_a_character_does_not_end_the_title(url: str, visit: Visit) -> None:
    tab = visit(url)
    tab.ask("Hi")
    tab.button("Rename").click()
    field = tab.page.get_by_label("Title")
    field.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    expect(field).to_be_focused()
    field.dispatch_event("keydown", {"key": "Enter"})
    expect(field).to_be_hidden()


@pytest.fixture(scope="module")
def refusing(browser: Browser, url: str) -> Iterator[Tab]:
    """One page for many refusals."""
    context = browser.new_context()
    tab = Tab(context, url)
    tab.ask("Hi")
    wait_for_saving(tab)
    yield tab
    context.close()


# Nothing gets lost or mixed up


def test_two_tabs_do_not_overwrite_each_others(url: str, visit: Visit) -> None:
    first = visit(url)
    second = Tab(first.page.context, url)
    first.ask("From the first")
    second.ask("From the second")
    listed(first, "From the second", "From the first")
    open_one(second, "From the first")
    first.button("Rename").click()
    first.page.get_by_label("Title").fill("Shared")
    first.page.keyboard.press("Enter")
    listed(second, "From the second", "Shared")
    second.button("Rename").click()
    second.page.get_by_label("Title").fill("Half a ti")
    first.ask("First goes on")
    expect(second.page.get_by_label("Title")).to_have_value("Half a ti")
    second.page.keyboard.press("Escape")
    wait_for_saving(first)
    second.ask("Second goes on")
    second.says("From the first", "Re: From the first", "Second goes on", "Re: Second goes on")
    listed(first, "Shared", "Shared", "From the second")
    contents = [
        [entry["content"] for entry in one["messages"]][2:]
        for one in exported(second, "Export all")["conversations"]
    ]
    assert contents == [
        ["Second goes on", "Re: Second goes on"],
        ["First goes on", "Re: First goes on"],
        [],
    ]


def test_the_same_words_saved_by_another_tab_at_the_same_moment_are_no_others(
    url: str, visit: Visit
) -> None:
    tab = visit(url)
    tab.ask("Hi")
    wait_for_saving(tab)
    tab.page.evaluate(AS_ANOTHER)
    tab.ask("Next")
    wait_for_saving(tab)
    listed(tab, "Hi")
    tab.page.reload()
    tab.says("Hi", "Re: Hi", "Next", "Re: Next")


#: A tab that has not heard yet of what this one wrote has written the same over it.
AS_ANOTHER = """() => {
    const item = Object.keys(localStorage).find((item) => item.endsWith(":text"));
    localStorage[item] = localStorage[item].replace(/^./, "2");
}"""


def test_a_reply_never_lands_in_another_conversation(serve: Serve, visit: Visit) -> None:
    tab = visit(serve(ScriptedEngine(slow_talk, PACE)))
    tab.ask("Hi")
    tab.new_chat()
    tab.send("Talk")
    for leave in ("Hi", "New chat", "Delete"):
        tab.button(leave).click()
        told(tab, "A reply is being written. Stop it first, or wait for it.")
    expect(tab.replies).to_contain_text("word1")
    tab.stop_button.click()
    expect(tab.send_button).to_be_visible()
    open_one(tab, "Hi")  # at once
    tab.says("Hi", "Yes.")
    expect(tab.status).to_have_text("")
    tab.ask("Next")
    tab.says("Hi", "Yes.", "Next", "Yes.")
    open_one(tab, "Talk")
    tab.says("Talk", re.compile("word0 word1"))  # type: ignore[arg-type]
    listed(tab, "Hi", "Talk")


@pytest.mark.parametrize("event", ["_settle", "_undo"])
def test_what_is_late_does_not_land_in_another_conversation(
    event: str, serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt, delay = getattr(Page, event), 0.0

    def late(*values: Any) -> Any:
        time.sleep(delay)
        return prompt(*values)

    monkeypatch.setattr(Page, event, late)
    tab = visit(serve(ScriptedEngine(slow_talk, PACE)))
    tab.ask("Hi")
    tab.new_chat()
    tab.ask("First")
    tab.send("Talk")
    expect(tab.replies.last).to_contain_text("word1")
    if event == "_undo":
        tab.stop_button.click()
        tab.settled("Stopped: ")
    delay = 0.5
    with tab.page.expect_request("**/run/predict"):
        (tab.stop_button if event == "_settle" else tab.button("Undo").last).click()
    open_one(tab, "Hi")
    tab.says("Hi", "Yes.")
    listed(tab, "First", "Hi")
    saved = exported(tab, "Export all")["conversations"]
    first, hi = [[entry["content"] for entry in one["messages"]] for one in saved]
    assert hi == ["Hi", "Yes."]
    assert first[:2] == ["First", "Yes."]
    assert len(first) == (4 if event == "_settle" else 2)


async def not_heard(page: Page, turn: Turn | None) -> None:
    """Stand for a Stop that did not get to the server."""


def test_a_reply_that_did_not_stop_does_not_either(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradio cannot stop what the server has not confirmed yet, and lets it go on unseen."""
    monkeypatch.setattr(Page, "_stop", not_heard)
    reply = " ".join(f"word{number}" for number in range(30))
    engine = ScriptedEngine(lambda _: reply, 0.001)
    tab = visit(serve(engine))
    tab.ask("Hi")
    tab.new_chat()
    tab.page.evaluate(LATE_CONFIRMATION)
    engine.pace = 0.05
    tab.send("Talk")
    tab.stop_button.click()
    open_one(tab, "Hi")
    engine.pace = 0.001
    tab.settled("Finished:")
    contents = {
        one["title"]: [entry["content"] for entry in one["messages"]]
        for one in exported(tab, "Export all")["conversations"]
    }
    assert contents == {"Hi": ["Hi", reply], "Talk": ["Talk", reply]}


def test_a_reply_that_did_not_stop_is_none_to_the_next_message(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Page, "_stop", not_heard)
    engine = ScriptedEngine(lambda prompt: slow_talk(prompt)[:60], PACE)
    engine.parallel = 2
    tab = visit(serve(engine))
    tab.page.evaluate(LATE_CONFIRMATION)
    tab.send("Talk")
    tab.stop_button.click()
    expect(tab.box).to_be_editable()
    tab.send("Hi")
    expect(tab.messages).to_have_text("Hi")
    assert idle_within(10, engine)
    tab.says("Hi", "Yes.")
    tab.settled("Finished: 4 tokens")


LATE_CONFIRMATION = """() => {
    const fetched = window.fetch;
    window.fetch = async (url, ...options) => {
        const response = await fetched(url, ...options);
        if (String(url).includes("queue/join")) await new Promise((go) => setTimeout(go, 1500));
        return response;
    };
}"""


def test_what_is_exported_or_deleted_while_it_is_saved_is_so_to_the_last_word(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt, delay = SavedConversations.seal, 0.0

    def seal(*values: Any) -> Any:
        time.sleep(delay)
        return prompt(*values)

    monkeypatch.setattr(SavedConversations, "seal", seal)
    tab = visit(serve(ScriptedEngine(echo)))
    tab.ask("One")
    listed(tab, "One")
    delay = 0.5
    tab.ask("Two")
    (saved,) = exported(tab, "Export all")["conversations"]
    assert saved["messages"][-1]["content"] == "Re: Two"
    with tab.page.expect_download() as download:
        tab.page.evaluate(EXPORT_BEFORE_IT_CHANGED)
    (saved,) = json.loads(Path(download.value.path()).read_text("utf-8"))["conversations"]
    assert [entry["content"] for entry in saved["messages"]] == ["Asked", "Answered"]
    tab.page.evaluate(TAKEN_BACK)
    (saved,) = exported(tab, "Export all")["conversations"]
    assert [entry["content"] for entry in saved["messages"]] == ["Asked", "Answered"]
    tab.ask("Three")
    tab.button("Clear").click()
    tab.ask("Four")
    listed(tab, "Four")


#: What was asked last is taken back while it is being saved.
TAKEN_BACK = """async () => {
    const said = [{role: "user", content: "Asked"}, {role: "assistant", content: "Answered"}];
    const page = window.conversations;
    page.begin();
    const first = page.begun([...said, {role: "user", content: "More"}]);
    page.settle();
    await page.changed(said);
    await first;
}"""
#: The question is still being saved when the reply to it comes to the screen.
EXPORT_BEFORE_IT_CHANGED = """() => {
    const asked = [{role: "user", content: "Asked"}];
    const page = window.conversations;
    page.begin();
    page.begun(asked);
    page.settle();
    document.querySelector("#panel [value=export]").click();
    setTimeout(() => page.changed([...asked, {role: "assistant", content: "Answered"}]), 100);
}"""


def test_a_full_storage_loses_nothing_on_the_screen(url: str, visit: Visit) -> None:
    tab = visit(url)
    tab.ask("One")
    wait_for_saving(tab)
    tab.page.evaluate(FILL)
    before = kept(tab)
    tab.ask("Two")
    wait_for_saving(tab)  # in vain, but not later when there is room
    expect(tab.page.locator("#saying")).to_contain_text("storage for this page is full")
    tab.says("One", "Re: One", "Two", "Re: Two")
    listed(tab, "One")
    tab.page.evaluate("() => { delete localStorage.spare }")
    noise = "".join(random.Random(0).choices(string.ascii_letters, k=9000))
    messages = [{"messages": [{"role": "user", "content": text}]} for text in ("Short", noise)]
    tab.button("Close").click()
    choose(tab, json.dumps({**EXPORTED, "conversations": messages}).encode())
    told(
        tab,
        "Nothing was imported, since the browser's storage for this page is full: "
        "there is room for 1 of these 2 conversations.",
    )
    assert kept(tab) == {key: before[key] for key in before if key != "spare"}
    tab.page.evaluate("() => { delete localStorage.filled }")
    tab.ask("Three")
    wait_for_saving(tab)
    tab.page.reload()
    tab.says("One", "Re: One", "Two", "Re: Two", "Three", "Re: Three")


#: Room for a short conversation is left when the spare is deleted.
FILL = """() => {
    localStorage.spare = "x".repeat(5000);
    let filled = "";
    for (let size = 2 ** 23; size >= 1; size /= 2)
        try { localStorage.filled = filled + "x".repeat(size); filled = localStorage.filled }
        catch { }
}"""


@pytest.fixture
def as_with(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Make browsers that differ from the others."""
    made = []

    def make(**options: Any) -> BrowserContext:
        made.append(browser.new_context(**options))
        return made[-1]

    yield make
    for context in made:
        context.close()


def test_a_browser_that_keeps_nothing_chats_all_the_same(url: str, as_with: AsWith) -> None:
    context, errors = as_with(), []
    context.on("weberror", lambda error: errors.append(error))
    for kind in ("localStorage", "sessionStorage"):
        context.add_init_script(
            f"Object.defineProperty(window, '{kind}', {{get() {{ throw new Error('denied') }}}})"
        )
    tab = Tab(context, url)
    tab.ask("One")
    listed(tab, "One")
    expect(tab.page.locator("#panel .hint")).to_contain_text("lets the page save nothing")
    tab.new_chat()
    tab.ask("Two")
    open_one(tab, "One")
    tab.says("One", "Re: One")
    assert errors == []


# On a phone, and by keyboard


def test_on_a_phone_the_panel_is_out_of_the_way(url: str, as_with: AsWith) -> None:
    phone = as_with(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    tab = Tab(phone, url)
    say(tab, "Hi")
    expect(tab.button("New chat")).to_be_hidden()
    tab.button("Conversations").click()
    tab.new_chat()
    expect(tab.button("New chat")).to_be_hidden()
    tab.says()
    say(tab, "Next")
    assert tab.page.evaluate("document.documentElement.scrollWidth") == 390


def say(tab: Tab, text: str) -> None:
    """Send a message with the button."""
    tab.box.fill(text)
    tab.send_button.click()
    tab.says(text, f"Re: {text}")
    tab.settled("Finished:")


@pytest.mark.parametrize("way", ["newline", "send"])
def test_on_a_touch_screen_enter_is_a_new_line_unless_the_host_wants_it_otherwise(
    serve: Serve, as_with: AsWith, way: str
) -> None:
    phone = as_with(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    tab = Tab(phone, serve(ScriptedEngine(echo), touch_enter=way))
    tab.send("One")
    if way == "newline":
        tab.box.press_sequentially("Two")
        expect(tab.box).to_have_value("One\nTwo")
        tab.says()
    else:
        tab.says("One", "Re: One")


def test_all_of_it_can_be_done_from_the_keyboard(url: str, visit: Visit) -> None:
    tab = visit(url)
    for message in ("One", "Two"):
        tab.ask(message)
        tab.button("New chat").press("Enter")
        tab.says()
    expect(tab.box).to_be_focused()
    tab.button("New chat").focus()
    keyboard = tab.page.keyboard
    for _ in range(3):  # past the search box, and the latest one
        keyboard.press("Tab")
    keyboard.press("Enter")
    tab.says("One", "Re: One")
    expect(tab.page.locator(":focus")).to_have_text("One")
    keyboard.press("Tab")
    keyboard.press("Enter")
    keyboard.type("Uno")
    keyboard.press("Enter")
    listed(tab, "Two", "Uno")
    expect(tab.page.locator(":focus")).to_have_text("Uno")
    keyboard.press("Tab")
    keyboard.press("Enter")
    keyboard.type("Eins")
    keyboard.press("Escape")
    listed(tab, "Two", "Uno")
