"""chat.web.page.controls: those for people, whatever programs may ask for."""

from typing import Any

import gradio as gr
import pytest

from chat.core.sampling import OPTIONAL, Sampling
from chat.settings import Settings
from chat.web.page.controls import controls
from tests.support.fakes import LineFormat, ScriptedEngine, ThinkingFormat, chat_with


def slider(name: str, **settings: Any) -> tuple[float, float, float]:
    """Return the ends of a slider, and where it stands."""
    made: Any = controls(Settings(**settings), chat_with(ScriptedEngine()))[name]
    return made.minimum, made.maximum, made.value


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("max_new_tokens", {}, (1, 1000, 512)),
        ("max_new_tokens", {"max_new_tokens": 5000}, (1, 1000, 1000)),
        ("max_new_tokens", {"max_new_tokens_limit": 100}, (1, 100, 100)),
        ("max_new_tokens", {"max_new_tokens_limit": 9000}, (1, 1000, 512)),
        ("top_p", {}, (0.01, 1, 0.9)),
        ("top_p", {"top_p": 0}, (0, 1, 0)),
        ("repetition_penalty", {}, (1, 2, 1.05)),
        ("repetition_penalty", {"repetition_penalty": 0.9}, (0.9, 2, 0.9)),
        ("top_k", {"top_k": -1}, (0, 1000, 0)),
    ],
)
def test_a_slider_goes_as_far_as_is_sensible_and_holds_what_the_host_set(
    name: str, settings: dict[str, Any], expected: tuple[float, float, float]
) -> None:
    assert slider(name, **settings) == expected


def test_what_programs_alone_can_use_has_no_control() -> None:
    engine = ScriptedEngine()
    engine.supports = frozenset(OPTIONAL)
    made = controls(Settings(), chat_with(engine))
    assert {*Sampling.model_fields} - {*made} == {"logit_bias", "logprobs", "top_logprobs"}


def test_adapters_have_a_menu_where_there_are_some() -> None:
    chat = chat_with(ScriptedEngine())
    assert not controls(Settings(), chat)["adapter"].visible
    chat.adapters = ("tales", "none")
    made: Any = controls(Settings(), chat)["adapter"]
    assert isinstance(made, gr.Dropdown)
    assert [value for _, value in made.choices] == ["tales", "none"]
    assert (made.value, made.visible) == ("tales", True)


@pytest.mark.parametrize("format", [LineFormat(), ThinkingFormat()])
def test_those_for_thinking_are_seen_where_the_model_thinks(format: LineFormat) -> None:
    made: Any = controls(Settings(), chat_with(ScriptedEngine(), format=format))
    for name in ("thinking", "thinking_budget"):
        assert made[name].visible == (format.thoughts is not None)
    assert [value for _, value in made["thinking"].choices] == ["auto", "on", "off"]


def test_what_the_models_authors_have_set_is_shown_as_such_unless_the_host_did() -> None:
    chat = chat_with(ScriptedEngine())
    chat.suited = {"temperature": 0.7, "top_k": 20, "max_new_tokens": 4096}
    made: Any = controls(Settings(top_k=30), chat)
    own = {name for name, one in made.items() if "this model's own" in str(one.info)}
    assert own == {"temperature"}
    assert made["temperature"].info.endswith(" 0.7 is this model's own.")
    assert (made["temperature"].value, made["top_k"].value) == (0.7, 30)
