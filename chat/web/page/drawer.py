"""The drawer on the right: the settings, in groups, and the prompt as the model reads it."""

import json
from typing import Any

import gradio as gr

from chat.core.chat import Chat
from chat.web.page.controls import MORE, Controls, authors, grouped
from prompts import texts


def drawer(controls: Controls, chat: Chat, prompt: gr.Textbox) -> None:
    """Render what of the settings is not on the page yet, and the prompt."""
    with gr.Sidebar(open=False, width=380, position="right", elem_id="drawer"):
        at_first = {name: control.value for name, control in controls.items()}
        with gr.Row(elem_classes="ways"):
            _setting("Reset", at_first, controls)
            theirs = {
                name: min(value, getattr(controls[name], "maximum", value))
                for name, value in authors(chat).items()
            }
            if any(at_first[name] != value for name, value in theirs.items()):
                _setting("As the model's authors set it", theirs, controls)
        for group, names in grouped(controls).items():
            with gr.Accordion(group, open=group != MORE):
                if "system_prompt" in names:
                    _presets(controls["system_prompt"])
                for name in names:
                    if not controls[name].is_rendered:
                        controls[name].render()
        with gr.Accordion("Prompt", open=False):
            prompt.render()


def _presets(system_prompt: gr.components.Component) -> None:
    """Render a menu of texts for the system prompt."""
    preset = gr.Dropdown(
        [*texts.presets().items()],
        value=None,
        label="Presets",
        info="Each puts its own text into the system prompt.",
    )
    preset.input(
        None,
        [preset],
        [system_prompt, preset],
        js="(text) => [text, null]",  # it is a menu: the system prompt shows what was chosen
        api_visibility="private",
    )


def _setting(label: str, values: dict[str, Any], controls: Controls) -> None:
    """Render a button that gives these controls these values."""
    told = [*values.values()] if len(values) > 1 else values.copy().popitem()[1]
    gr.Button(label, size="sm", min_width=0).click(
        None,
        None,
        [controls[name] for name in values],
        js=f"() => {json.dumps(told)}",
        api_visibility="private",
    )
