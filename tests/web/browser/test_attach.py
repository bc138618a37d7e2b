"""Files that come with a message, as a person brings them."""

import re
from pathlib import Path

import pytest

from tests.conftest import DATA, Serve
from tests.support.fakes import ScriptedEngine, last_message
from tests.support.pdf_file import pdf_of
from tests.support.tab import AGES, Browser, Route, Tab, Visit, expect

TABLE = b"year,rain\n2026,7\n"
BLOCK = "File: rain.csv (16 tokens)\n```csv\nyear,rain\n2026,7\n```"


def says(prompt: str) -> str:
    return f"Read {len(last_message(prompt))} letters."


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(says)


@pytest.fixture
def tab(engine: ScriptedEngine, serve: Serve, visit: Visit) -> Tab:
    return visit(serve(engine))


def choose(tab: Tab, *files: tuple[str, bytes]) -> None:
    paths = []
    for name, data in files:
        paths.append(Path(DATA.name) / name)
        paths[-1].write_bytes(data)
    tab.page.locator("#composer input[type=file]").set_input_files(paths)


def chips(tab: Tab, *titles: str) -> None:
    expect(tab.page.locator("#files span")).to_have_text(list(titles))


def test_a_file_stands_before_the_message_and_is_folded_in_the_conversation(
    tab: Tab, engine: ScriptedEngine
) -> None:
    choose(tab, ("rain.csv", TABLE))
    chips(tab, "rain.csv (16 tokens)")
    tab.ask("Sum it up.")
    chips(tab)
    assert f"user: {BLOCK}\n\nSum it up.\0" in engine.prompts[-1]
    folded = tab.messages.get_by_role("button", name="rain.csv")
    expect(folded).to_have_attribute("aria-expanded", "false")
    expect(tab.messages.last).to_have_text("Sum it up.")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Sum it up.")
    tab.ask("And now?")
    assert f"user: {BLOCK}\n\nSum it up.\0assistant: Read" in engine.prompts[-1]
    tab.page.reload()
    expect(tab.messages.get_by_role("button", name="rain.csv")).to_be_visible()
    tab.ask("Still there?")
    assert f"user: {BLOCK}\n\nSum it up.\0assistant: Read" in engine.prompts[-1]


def test_files_wait_for_the_message_through_a_reload_and_can_be_left_out(
    tab: Tab, engine: ScriptedEngine
) -> None:
    choose(tab, ("rain.csv", TABLE), ("paper.pdf", pdf_of("Rain in spring")))
    chips(tab, "rain.csv (16 tokens)", "paper.pdf (14 tokens)")
    tab.page.reload()
    chips(tab, "rain.csv (16 tokens)", "paper.pdf (14 tokens)")
    tab.button("Remove rain.csv (16 tokens)").click()
    tab.send("")  # a file says enough
    expect(tab.replies).to_have_count(1)
    tab.settled("Finished:")
    assert "```pdf\nRain in spring\n```\0" in engine.prompts[-1]
    assert "year" not in engine.prompts[-1]


def test_a_file_that_is_read_comes_though_another_was_left_out_meanwhile(tab: Tab) -> None:
    choose(tab, ("rain.csv", TABLE))
    chips(tab, "rain.csv (16 tokens)")
    held: list[Route] = []
    tab.page.route("**/run/saved_attach", lambda route: held.append(route))
    with tab.page.expect_request("**/run/saved_attach"):
        choose(tab, ("snow.csv", TABLE))
    tab.button("Remove rain.csv (16 tokens)").click()
    chips(tab)
    held[0].continue_()
    chips(tab, "snow.csv (16 tokens)")


@pytest.mark.parametrize("reloaded", [False, True])
def test_a_message_that_is_refused_keeps_its_files(
    tab: Tab, engine: ScriptedEngine, reloaded: bool
) -> None:
    engine.reading = AGES
    choose(tab, ("rain.csv", TABLE))
    chips(tab, "rain.csv (16 tokens)")
    tab.send("Sum it up.")
    expect(tab.status).to_contain_text("Reading")
    if reloaded:
        tab.page.reload()
        expect(tab.status).to_contain_text("Reading")
    tab.stop_button.click()
    tab.settled("Stopped before the first word")
    expect(tab.box).to_have_value("Sum it up.")
    chips(tab, "rain.csv (16 tokens)")
    engine.reading = 0
    tab.box.press("Enter")
    expect(tab.replies).to_have_count(1)
    tab.settled("Finished:")
    assert engine.prompts[-1].count(BLOCK) == 1
    tab.button("Undo").click()
    expect(tab.box).to_have_value("Sum it up.")
    chips(tab, "rain.csv (16 tokens)")
    tab.ask("Sum it up.")
    assert engine.prompts[-1].count(BLOCK) == 1


def test_a_message_that_is_edited_is_there_again_if_something_else_is_done(tab: Tab) -> None:
    tab.ask("Hi")
    choose(tab, ("rain.csv", TABLE))
    chips(tab, "rain.csv (16 tokens)")
    tab.ask("Sum it up.")
    for number in range(2):
        tab.box.fill("")
        tab.button("Edit").last.click()
        expect(tab.replies).to_have_count(1)
        if number:
            tab.button("Delete message").first.click()
        else:
            tab.button("Undo").click()
        expect(tab.replies).to_have_count(2)
        expect(tab.messages.last).to_have_text("Sum it up.")
        expect(tab.box).to_have_value("Sum it up.")
        tab.button("Remove rain.csv (16 tokens)").first.click()


def test_what_is_cleared_leaves_no_files_for_the_next_message(
    tab: Tab, engine: ScriptedEngine
) -> None:
    tab.ask("Hi")
    engine.reading = AGES
    choose(tab, ("rain.csv", TABLE))
    chips(tab, "rain.csv (16 tokens)")
    tab.send("Sum it up.")
    expect(tab.status).to_contain_text("Reading")
    tab.button("Clear").click()
    tab.says()
    engine.reading = 0
    tab.ask("And now?")
    assert "rain.csv" not in engine.prompts[-1]


def test_an_edited_message_keeps_its_files(tab: Tab, engine: ScriptedEngine) -> None:
    choose(tab, ("rain.csv", TABLE))
    chips(tab, "rain.csv (16 tokens)")
    tab.ask("Sum it up.")
    tab.button("Edit").click()  # where a message is written, since it has two parts
    expect(tab.box).to_have_value("Sum it up.")
    chips(tab, "rain.csv (16 tokens)")
    tab.says()
    tab.ask("Draw it.")
    expect(tab.messages.last).to_have_text("Draw it.")
    expect(tab.page.locator(".tools span")).to_have_text(["2 of 2"])
    assert f"user: {BLOCK}\n\nDraw it.\0" in engine.prompts[-1]
    tab.button("Retry").click()
    tab.settled("Finished:")
    assert f"user: {BLOCK}\n\nDraw it.\0" in engine.prompts[-1]


PASTE = """([text, name]) => {
    const data = new DataTransfer();
    if (name) data.items.add(new File([text], name));
    else data.setData("text/plain", text);
    document.querySelector("#message textarea").dispatchEvent(
        new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
}"""
DROP = """(type) => {
    const data = new DataTransfer();
    data.items.add(new File(["year,rain\\n2026,7\\n"], "rain.csv"));
    document.querySelector("#conversation").dispatchEvent(
        new DragEvent(type, {dataTransfer: data, bubbles: true, cancelable: true}));
}"""


def test_a_long_text_that_is_pasted_is_a_file_and_a_short_one_is_not(tab: Tab) -> None:
    tab.page.evaluate(PASTE, ["a short one", ""])
    tab.page.evaluate(PASTE, ["word " * 700, ""])
    expect(tab.page.locator("#files span")).to_have_text(
        [re.compile(r"^Pasted text \(the first [\d,]+ of 3,500 tokens\)$")]
    )


def test_files_can_be_pasted_and_dropped(tab: Tab) -> None:
    tab.page.evaluate(PASTE, ["a,b", "one.csv"])
    chips(tab, "one.csv (3 tokens)")
    tab.page.evaluate(DROP, "dragover")
    expect(tab.page.locator("#composer")).to_have_class(re.compile("dropping"))
    tab.page.evaluate(DROP, "drop")
    chips(tab, "one.csv (3 tokens)", "rain.csv (16 tokens)")
    expect(tab.page.locator("#composer")).not_to_have_class(re.compile("dropping"))


def test_who_begins_to_edit_and_leaves_it_finds_all_as_it_was(
    tab: Tab, engine: ScriptedEngine
) -> None:
    tab.ask("First")
    choose(tab, ("rain.csv", TABLE))
    chips(tab, "rain.csv (16 tokens)")
    tab.ask("Sum it up.")
    tab.box.fill("A draft")
    tab.button("Edit").last.click()
    expect(tab.page.locator("#saying span")).to_have_text("There is a message in the box already.")
    tab.box.fill("")
    tab.button("Edit").last.click()
    expect(tab.replies).to_have_count(1)
    tab.page.reload()
    expect(tab.replies).to_have_count(2)
    expect(tab.box).to_have_value("Sum it up.")


def test_nothing_is_sent_without_a_file_that_is_still_read(tab: Tab) -> None:
    held: list[Route] = []
    tab.page.route("**/saved_attach", lambda route: held.append(route))
    with tab.page.expect_request("**/saved_attach"):
        choose(tab, ("rain.csv", TABLE))
    tab.send("Sum it up.")
    expect(tab.page.locator("#saying span")).to_have_text(
        "A file is still being read. Please wait a moment."
    )
    tab.send_button.click()
    held.pop().continue_()
    chips(tab, "rain.csv (16 tokens)")
    tab.says()
    tab.box.press("Enter")
    expect(tab.replies).to_have_count(1)


def test_what_cannot_be_read_is_said_and_leaves_the_others(tab: Tab) -> None:
    picture = "picture.png", bytes(range(256))
    choose(tab, ("rain.csv", TABLE), picture, ("snow.csv", TABLE))
    expect(tab.page.locator("#saying span")).to_have_text(
        "picture.png holds no text that can be read here."
    )
    chips(tab, "rain.csv (16 tokens)", "snow.csv (16 tokens)")
    tab.ask("Sum them up.")


def test_a_name_is_shown_as_it_is(tab: Tab) -> None:
    choose(tab, ("<b>*x* &amp;.txt", b"Text"))
    chips(tab, "<b>*x* &amp;.txt (4 tokens)")
    tab.ask("Hi")
    expect(tab.messages.get_by_role("button", name="<b>*x* &amp;.txt (4 tokens)")).to_be_visible()


def test_who_logs_in_after_somebody_else_does_not_find_what_they_typed(
    serve: Serve, browser: Browser
) -> None:
    url = serve(ScriptedEngine(), auth="ann:secret,bob:secret")
    page = browser.new_page()
    box = page.get_by_placeholder("Type a message")
    file = page.locator("#files span")

    def log_in(name: str) -> None:
        page.goto(f"{url}logout")
        page.get_by_role("button", name="Log out").click()
        page.get_by_label("Username").fill(name)
        page.get_by_label("Password").fill("secret")
        page.get_by_role("button", name="Login").click()
        expect(box).to_be_editable()

    page.goto(url)
    page.get_by_label("Username").fill("ann")
    page.get_by_label("Password").fill("secret")
    page.get_by_role("button", name="Login").click()
    expect(box).to_be_editable()
    page.locator("#composer input[type=file]").set_input_files(__file__)
    expect(file).to_have_count(1)
    box.fill("Ann's secret")
    page.wait_for_timeout(200)  # until it is kept
    log_in("bob")
    expect(box).to_have_value("")
    expect(file).to_have_count(0)
    log_in("ann")
    expect(box).to_have_value("Ann's secret")
    expect(file).to_have_count(1)
    page.close()
