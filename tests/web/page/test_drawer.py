"""chat.web.page.drawer: each control once, in groups, and the ways back."""

import json
from typing import Any

import gradio as gr
import pytest

from chat.core.sampling import THINKING_TOKENS
from chat.settings import Settings
from chat.web.page import page
from chat.web.page.controls import GROUPS, MORE, controls, grouped
from tests.support.fakes import ScriptedEngine, chat_with


def built(suited: dict[str, Any] | None = None, **settings: Any) -> page.Page:
    chat = chat_with(ScriptedEngine())
    chat.suited = suited or {}
    made = page.build(chat, Settings(**settings))
    assert isinstance(made, page.Page)
    return made


def set_by(made: page.Page, button: str) -> dict[str, Any]:
    """Return what a button of the drawer sets, by the names of the controls."""
    (id,) = (
        one._id
        for one in made.blocks.values()
        if isinstance(one, gr.Button) and one.value == button
    )
    (event,) = (event for event in made.config["dependencies"] if (id, "click") in event["targets"])
    elements = [made.blocks[output].elem_id for output in event["outputs"]]
    told = json.loads(event["js"].removeprefix("() => "))
    return dict(zip(elements, told if len(elements) > 1 else [told], strict=True))


def test_each_control_is_in_one_group() -> None:
    made = controls(Settings(), chat_with(ScriptedEngine()))
    groups = grouped(made)
    names = [name for group in groups.values() for name in group]
    assert sorted(names) == sorted(made)
    assert [*groups] == [*GROUPS, MORE]


def test_a_group_without_controls_is_none() -> None:
    made = controls(Settings(), chat_with(ScriptedEngine()))
    assert [*grouped({"temperature": made["temperature"]})] == ["Sampling"]


def test_reset_gives_each_control_what_it_began_with() -> None:
    made = built(temperature=1.25, system_prompt="Rhyme.")
    given = set_by(made, "Reset")
    assert given["setting-temperature"] == 1.25
    assert given["setting-system_prompt"] == "Rhyme."
    assert len(given) == len(made._controls)


def test_the_authors_values_are_one_click_away_where_the_host_has_others() -> None:
    made = built({"temperature": 0.3}, temperature=1.25)
    assert set_by(made, "As the model's authors set it") == {"setting-temperature": 0.3}


def test_theirs_go_no_further_than_the_slider() -> None:
    made = built({"max_new_tokens": 9000, "top_k": 20}, top_k=40)
    given = set_by(made, "As the model's authors set it")
    assert given == {"setting-max_new_tokens": 1000, "setting-top_k": 20}


@pytest.mark.parametrize(
    "suited",
    [
        {"temperature": 0.3},
        {"max_new_tokens": 9000},  # more than there is room for
        {"max_new_tokens": THINKING_TOKENS},  # which no author has set
    ],
)
def test_where_the_host_has_set_nothing_else_there_is_no_second_button(
    suited: dict[str, Any],
) -> None:
    made = built(suited)
    labels = {one.value for one in made.blocks.values() if isinstance(one, gr.Button)}
    assert "Reset" in labels
    assert "As the model's authors set it" not in labels
