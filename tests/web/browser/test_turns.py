"""Sending, stopping, retrying, undoing, editing and clearing, as a person sees it."""

import re

import pytest

from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine
from tests.support.tab import (
    AGES,
    PACE,
    TALK,
    Visit,
    echo,
    expect,
    idle_within,
    slow_talk,
)

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
    assert idle_within(10, engine)
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
    assert idle_within(10, engine)
    expect(tab.box).to_have_value("Read this")
    expect(tab.messages).to_have_count(0)
    engine.reading = 0
    tab.box.press("Enter")
    tab.says("Read this", "Re: Read this")


def test_stop_at_once_stops(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(lambda _: TALK, PACE)
    tab = visit(serve(engine))
    with tab.page.expect_response(
        lambda response: "/queue/join" in response.url
    ):  # before that Gradio knows nothing to stop
        tab.send("Talk")
    tab.stop_button.click()
    tab.settled("Stopped")
    assert idle_within(10, engine)


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
    assert idle_within(10, engine)
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
    tab.page.get_by_role("button", name="Settings").click()
    tab.page.get_by_role("button", name="Prompt").click()
    expect(tab.page.get_by_label("Nothing yet")).to_have_value("")
    tab.ask("Second")
    tab.says("Second", "Re: Second")
    assert "First" not in engine.prompts[-1]


def test_clear_while_a_reply_is_written_stops_it(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(slow_talk, PACE)
    tab = visit(serve(engine))
    tab.ask("Hi")
    tab.send("Talk")
    expect(tab.replies.last).to_contain_text("word1")
    tab.button("Clear").click()
    expect(tab.box).to_be_editable()
    expect(tab.chat.get_by_text("Say something.")).to_be_visible()
    assert idle_within(10, engine)
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
