"""The controls of the page, with the fields and the words of `Sampling`."""

import gradio as gr

from chat.sampling import MAX_NEW_TOKENS, Sampling
from chat.settings import Settings


def controls(settings: Settings, window: int) -> list[gr.components.Component]:
    """Return the system prompt and a slider for each field of `Sampling`, in its order."""
    longest = min(MAX_NEW_TOKENS, window // 2)
    start = settings.sampling().model_copy(
        update={"max_new_tokens": min(settings.max_new_tokens, longest)}
    )
    return [
        gr.Textbox(settings.system_prompt, label="System prompt", lines=2, max_lines=8),
        _control("max_new_tokens", (1, longest), 1, start.max_new_tokens),
        _control("temperature", (0, 2), 0.05, start.temperature),
        _control("top_p", (0.01, 1), 0.01, start.top_p),
        _control("top_k", (0, 1000), 1, start.top_k),
        _control("repetition_penalty", (1, 2), 0.01, start.repetition_penalty),
    ]


def _control(name: str, ends: tuple[float, float], step: float, value: float) -> gr.Slider:
    """Return the slider of one field of `Sampling`."""
    field = Sampling.model_fields[name]
    slider = gr.Slider(*ends, value, step=step, label=field.title, info=field.description)
    # Leave the checking to Sampling, which has a sentence for everything that can be wrong.
    slider.preprocess = lambda value: value
    return slider
