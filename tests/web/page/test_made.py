"""chat.web.page.made: what is told of how a reply was made."""

import json
from typing import Any

import pytest

from chat.core.chat import Update
from chat.core.made import Made
from chat.web.page.made import made
from chat.web.page.turn import Progress
from tests.support.fakes import ScriptedEngine, chat_with

CHAT = chat_with(ScriptedEngine())


def reply(update: Update | None, **more: Any) -> Progress:
    return Progress(update, **more)


def test_of_a_reply_that_never_began_nothing_is_told() -> None:
    assert made(CHAT, reply(None)) == ""


def test_figures_controls_and_the_window_are_told_and_no_text() -> None:
    update = Update(
        "finished",
        "Secret.",
        thought="Secret.",
        prompt="Secret.",
        prompt_tokens=9,
        cached_tokens=8,
        tokens=4,
        thought_tokens=1,
        first_token=0.25,
        seconds=1.5,
        dropped_turns=2,
    )
    controls = {
        "system_prompt": "Secret.",
        "temperature": 0.0,
        "max_new_tokens": 64.0,
        "seed": -1,
        "top_p": 0.8,
        "stop": "",
        "json_schema": "x" * 999,
    }
    told = made(CHAT, reply(update, controls=controls))
    assert "Secret" not in told
    found = Made.model_validate_json(told)
    assert found == Made(
        model=CHAT.name,
        ended="stop",
        prompt_tokens=9,
        cached_tokens=8,
        dropped_turns=2,
        tokens=4,
        thought_tokens=1,
        first_token=0.25,
        seconds=1.5,
        window=2000,
        controls=found.controls,
    )
    assert found.controls == {
        "temperature": 0,
        "max_new_tokens": 64,
        "top_p": 0.8,
        "json_schema": "x" * 200,
    }


@pytest.mark.parametrize(
    ("state", "failure", "ended"),
    [
        ("finished", "", "stop"),
        ("length", "", "length"),
        ("writing", "", "stopped"),
        ("writing", "It failed.", "error"),
        ("reading", "", "stopped"),
    ],
)
def test_it_is_told_why_it_ended(state: Any, failure: str, ended: str) -> None:
    told = made(CHAT, reply(Update(state, "Hi"), failure=failure))
    assert json.loads(told)["ended"] == ended
