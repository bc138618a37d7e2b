"""Saved conversations, as a person sees them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat.errors import EngineError
from tests.conftest import Serve, serving
from tests.support.fakes import ScriptedEngine
from tests.support.panel import (
    EXPORTED,
    choose,
    exported,
    kept,
    listed,
    open_one,
    told,
    wait_for_saving,
)
from tests.support.tab import (
    Browser,
    Tab,
    Visit,
    echo,
    expect,
    slow_talk,
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """One server for all that need no other."""
    with serving() as serve:
        yield serve(ScriptedEngine(echo))


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
    asked_with("", "Afresh")


def test_a_system_prompt_that_was_typed_is_there_after_the_page_is_loaded_anew(
    serve: Serve, visit: Visit
) -> None:
    engine = ScriptedEngine(echo)
    tab = visit(serve(engine))
    field = tab.page.get_by_label("System prompt", exact=True)

    def typed(prompt: str) -> None:
        if not field.is_visible():
            tab.button("Settings").click()
        field.fill(prompt)
        tab.page.wait_for_function(
            "(prompt) => Object.values(sessionStorage).some((kept) => kept.includes(prompt))",
            arg=prompt,
        )
        tab.page.reload()
        expect(field).to_have_value(prompt)

    tab.button("Settings").click()
    tab.setting("Temperature", "1.5")
    typed("Rhyme.")
    expect(tab.page.get_by_label("number input for Temperature")).to_have_value("1.5")
    tab.ask("Poem")
    assert engine.prompts[-1].startswith("system: Rhyme.\0")
    wait_for_saving(tab)
    typed("In prose.")
    tab.says("Poem", "Re: Poem")
    tab.ask("And now?")
    assert engine.prompts[-1].startswith("system: In prose.\0user: Poem")
    tab.button("Branch into a new conversation").last.click()
    expect(tab.page.locator("#panel [aria-current]")).to_have_text("Poem (branch)")
    expect(field).to_have_value("In prose.")
    tab.new_chat()
    expect(field).to_have_value("In prose.")


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


def test_a_title_that_could_not_be_saved_stays_to_be_tried_again(url: str, visit: Visit) -> None:
    tab = visit(url)
    tab.ask("Hi")
    wait_for_saving(tab)
    tab.page.route("**/run/saved_rename", lambda route: route.abort())
    tab.button("Rename").click()
    field = tab.page.get_by_label("Title")
    field.fill("Rain")
    field.press("Enter")
    told(tab, "The server cannot be reached. Please reload the page.")
    expect(field).to_have_value("Rain")
    tab.page.unroute("**/run/saved_rename")
    field.press("Enter")
    listed(tab, "Rain")


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
