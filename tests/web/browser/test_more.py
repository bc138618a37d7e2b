"""Ways to say less: examples, presets, and Continue."""

from playwright.sync_api import expect

from prompts.formats.plain import Plain
from prompts.texts import examples, presets
from tests.conftest import Serve
from tests.support.fakes import END, ScriptedEngine
from tests.support.tab import AGES, PACE, Visit, slow_talk

STOP = chr(END)
SENTENCE = "One two three."


def rest(prompt: str) -> str:
    begun = prompt.rpartition("assistant: ")[2]
    return SENTENCE.removeprefix(begun)


def test_an_example_is_sent_with_a_click_and_none_was_generated_before(
    serve: Serve,
    visit: Visit,
) -> None:
    engine = ScriptedEngine()
    tab = visit(serve(engine))
    for example in examples("lines"):
        expect(tab.page.get_by_text(example)).to_be_visible()
    assert engine.prompts == []
    tab.page.get_by_text(examples("lines")[1]).click()
    tab.settled("Finished:")
    tab.says(examples("lines")[1], f"You said: {examples('lines')[1]}")


def test_an_example_can_be_stopped(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(reading=AGES)
    tab = visit(serve(engine))
    tab.page.get_by_text(examples("lines")[0]).click()
    tab.stop_button.click()
    tab.settled("Stopped before the first word")
    expect(tab.box).to_have_value(examples("lines")[0])


def test_a_base_model_has_beginnings_of_texts(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine()
    tab = visit(serve(engine, format=Plain()))
    tab.page.get_by_text(examples("plain")[0]).click()
    expect(tab.box).to_have_value(examples("plain")[0])
    assert engine.prompts == []


def test_a_preset_is_put_into_the_system_prompt(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine()
    tab = visit(serve(engine))
    tab.page.get_by_role("button", name="Settings").click()
    tab.page.get_by_label("Presets").click()
    tab.page.get_by_role("option", name="Brief").click()
    expect(tab.page.get_by_label("System prompt", exact=True)).to_have_value(presets()["Brief"])
    tab.ask("Hi")
    assert engine.prompts[0].startswith(f"system: {presets()['Brief']}{STOP}")


def test_a_reply_that_was_cut_off_is_continued_in_place(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(rest)
    tab = visit(serve(engine))
    go_on = tab.button("Continue")
    tab.page.get_by_role("button", name="Settings").click()
    tab.setting("Max new tokens", "5")
    tab.send("Count")
    tab.settled("Cut off at the length limit: 5 tokens")
    go_on.click()
    tab.says("Count", "One two th")
    tab.settled("Cut off at the length limit: 5 tokens")
    go_on.click()
    tab.settled("Finished: 4 tokens")
    tab.says("Count", SENTENCE)
    expect(go_on).to_be_hidden()
    assert engine.prompts[1].endswith(f"user: Count{STOP}assistant: One t")
    tab.send("Again")
    tab.settled("Cut off")
    assert f"assistant: {SENTENCE}{STOP}user: Again" in engine.prompts[-1]


def test_a_reply_that_was_stopped_can_go_on(serve: Serve, visit: Visit) -> None:
    tab = visit(serve(ScriptedEngine(slow_talk, pace=PACE)))
    tab.send("Talk")
    expect(tab.replies).to_contain_text("word0 w")
    tab.stop_button.click()
    tab.settled("Stopped:")
    before = tab.replies.inner_text()
    tab.button("Continue").click()
    expect(tab.replies).to_contain_text(f"{before}wo", use_inner_text=True)
    tab.stop_button.click()
    tab.settled("Stopped:")


def test_a_continuation_that_is_refused_leaves_the_reply_as_it_was(
    serve: Serve,
    visit: Visit,
) -> None:
    tab = visit(serve(ScriptedEngine(rest)))
    tab.page.get_by_role("button", name="Settings").click()
    tab.setting("Max new tokens", "5")
    tab.send("Count")
    tab.settled("Cut off")
    tab.setting("Top-k", "0.5")
    tab.button("Continue").click()
    tab.settled("Failed: Top-k must be a whole number.")
    tab.says("Count", "One t")
    expect(tab.box).to_have_value("")


def test_a_reply_that_is_continued_keeps_its_indentation(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(lambda prompt: "    indented words")
    tab = visit(serve(engine, max_new_tokens=12))
    tab.send("Code")
    tab.settled("Cut off at the length limit:")
    tab.button("Continue").click()
    expect(tab.replies).to_contain_text("indented indented")
    assert engine.prompts[-1].endswith("assistant:     indented")
