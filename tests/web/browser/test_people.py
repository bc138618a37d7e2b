"""Errors, and several people at once, as each of them sees it."""

import time
from collections.abc import Callable

import pytest

from chat.errors import EngineError
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
    assert seconds_to_load() < 2 * before + 10
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
    tab = visit(serve(engine, keep_seconds=0))
    tab.send("Read this")
    expect(tab.status).to_contain_text("Reading" if reading else "Writing")
    assert engine.active == 1
    tab.page.close()
    assert idle_within(10, engine)


def test_a_reload_frees_the_model_and_keeps_what_was_asked(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(slow_talk, PACE)
    tab = visit(serve(engine, keep_seconds=0))
    tab.send("Talk")
    expect(tab.replies).to_contain_text("word0")
    expect(tab.page.locator("#panel li")).to_have_count(1)
    tab.page.reload()
    tab.says("Talk")
    assert idle_within(10, engine)
    expect(tab.status).to_contain_text("The reply to the last message was lost.")
    tab.new_chat()
    tab.ask("Hi")
    tab.says("Hi", "Yes.")
    assert "Talk" not in engine.prompts[-1]
