"""The controls of the page, with the fields and the words of `Sampling`."""

import json
from typing import Any

import gradio as gr

from chat.core.chat import Chat
from chat.core.sampling import OPTIONAL, THINKING_TOKENS, Sampling, bounds
from chat.settings import Settings
from chat.web.page.gradio_internals import take_as_sent

#: The controls by their names, which are those of `Sampling`.
Controls = dict[str, gr.components.Component]
#: What an event changes: components, with their new values.
Changes = dict[gr.components.Component, Any]

#: The step of each slider, whose bounds are those of its field,
STEPS = {
    "max_new_tokens": 1,
    "temperature": 0.05,
    "top_p": 0.01,
    "top_k": 1,
    "min_p": 0.01,
    "repetition_penalty": 0.01,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
}
#: unless what is below them is of use to programs alone.
LOWEST = {"top_p": 0.01, "repetition_penalty": 1.0}
#: What people have no control for.
FOR_PROGRAMS = {"logit_bias", "logprobs", "top_logprobs"}
GOES_WITH = {"guidance_scale": "negative_prompt"}
FOR_THINKING = ("thinking", "thinking_budget")
WAYS_OF_THINKING = {"As the model does": "auto", "On": "on", "Off": "off"}
#: In which groups people find them; what is in none comes last, under MORE.
GROUPS = {
    "Instructions": ("system_prompt",),
    "Reply": ("max_new_tokens", *FOR_THINKING),
    "Sampling": ("temperature", "top_p", "top_k", "min_p", "repetition_penalty"),
}
MORE = "More"


def controls(settings: Settings, chat: Chat) -> Controls:
    """Return a control for the system prompt and for the fields of `Sampling`, by their names."""
    longest = min(chat.engine.window // 2, settings.max_new_tokens_limit or chat.engine.window)
    found: Controls = {
        "system_prompt": gr.Textbox(
            settings.system_prompt,
            label="System prompt",
            lines=2,
            max_lines=8,
            elem_id=element("system_prompt"),
        )
    }
    for name, value in settings.sampling(chat.suited).model_dump(exclude=FOR_PROGRAMS).items():
        field = Sampling.model_fields[name]
        info = f"{field.description}{_whose(name, settings, chat)}"
        words: dict[str, Any] = {"label": field.title, "info": info, "elem_id": element(name)}
        # What is of no use here the API has all the same, and says why it is refused.
        needed = GOES_WITH.get(name, name)
        hidden = {
            "num_beams": True,
            "adapter": not chat.adapters,
            **dict.fromkeys(FOR_THINKING, chat.format.thoughts is None),
        }
        words["visible"] = not hidden.get(name) and (
            needed in chat.engine.supports or needed not in OPTIONAL
        )
        if name in STEPS:
            lowest, highest = (1, longest) if name == "max_new_tokens" else bounds(name)
            lowest = min(value, LOWEST.get(name, lowest))
            value = min(value, highest)
            control = gr.Slider(lowest, highest, value, step=STEPS[name], **words)
        elif name == "adapter" and chat.adapters:
            control = gr.Dropdown([*chat.adapters], value=chat.adapters[0], **words)
        elif name == "thinking":
            words["info"] = "Whether the model thinks before it replies."
            control = gr.Dropdown([*WAYS_OF_THINKING.items()], value=value, **words)
        elif isinstance(value, str | tuple):
            text = value if isinstance(value, str) else "\n".join(value)
            control = gr.Textbox(text, lines=1 + isinstance(value, tuple), max_lines=6, **words)
        else:
            control = gr.Number(-1 if value is None else value, precision=None, **words)
        # Leave the checking to Sampling, which has a sentence for everything that can be wrong.
        take_as_sent(control)
        found[name] = control
    return found


def remember(page: gr.Blocks, controls: Controls) -> None:
    """Have the page mark what was changed, and set it again when it is loaded anew."""
    quiet: dict[str, Any] = {"api_visibility": "private", "queue": False}

    def told(what: str, controls: Controls) -> str:
        at_first = {element(name): control.value for name, control in controls.items()}
        return f"(...values) => window.{what}({json.dumps(at_first)}, values)"

    values = [*controls.values()]
    changes = [control.change for control in values]
    gr.on(changes, None, values, js=told("changedControls", controls), **quiet)
    # Conversations bring along the system prompt.
    controls = {name: one for name, one in controls.items() if name != "system_prompt"}
    values = [*controls.values()]
    page.load(None, values, values, js=told("keptControls", controls), **quiet)


def element(name: str) -> str:
    """Return the id of a control in the page."""
    return f"setting-{name}"


def grouped(controls: Controls) -> dict[str, list[str]]:
    """Return the names of the controls by their groups, of those groups that have any."""
    found = {group: [name for name in names if name in controls] for group, names in GROUPS.items()}
    rest = [name for name in controls if not any(name in names for names in GROUPS.values())]
    return {group: names for group, names in {**found, MORE: rest}.items() if names}


def authors(chat: Chat) -> dict[str, Any]:
    """Return the values that the model's authors have set, by the names of their controls."""
    # The length for a model that thinks is nobody's, unless by chance.
    length = {"max_new_tokens": THINKING_TOKENS}
    return {name: value for name, value in chat.suited.items() if length.get(name) != value}


def _whose(name: str, settings: Settings, chat: Chat) -> str:
    """Return a sentence for a value that the model's authors have set, and the host has not."""
    value = authors(chat).get(name)
    if value is None or name in settings.model_fields_set:
        return ""
    return f" {value:,} is this model's own."
