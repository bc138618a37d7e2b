"""The plain design to compare with: what a streaming chat with a 4-bit model usually looks like.

    python -m benchmarks.baseline [flags of the app]

`gr.ChatInterface` around `model.generate` with bitsandbytes' NF4 and
transformers' `TextIteratorStreamer` on a thread for each message. One message
is answered at a time, and each is read from its beginning. It has the app's
model, prompt, sampling and labels, and a plain generator, which Gradio iterates
in a thread; an async one would block the event loop while it waits for text.
"""

import sys
import threading
from collections.abc import Iterator
from typing import Any

from chat.load import has_cuda
from chat.models import locate
from chat.settings import Settings, read


def load(settings: Settings) -> tuple[Any, Any]:
    """Return the tokenizer and the 4-bit model."""
    from chat.models import quantize

    source = locate.locate(settings.model, settings.cache_dir, cuda=has_cuda())
    return quantize.tokenizer_and_model(source, settings.cache_dir)


def prompt(tokenizer: Any, model: Any, messages: list[dict[str, str]]) -> dict[str, Any]:
    """Return the tensors that `generate` continues."""
    encoded = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    return dict(encoded.to(model.device))


def options(
    tokens: int,
    shortest: int,
    temperature: float,
    top_p: float,
    top_k: int,
    min_p: float,
    penalty: float,
) -> dict[str, Any]:
    """Return the sampling as `generate` takes it."""
    chosen: dict[str, Any] = {"do_sample": False}
    if temperature > 0:
        chosen = {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": top_k}
        chosen["min_p"] = min_p or None
    lengths = {"max_new_tokens": int(tokens), "min_new_tokens": int(shortest) or None}
    return {**lengths, "repetition_penalty": penalty, **chosen}


def build(tokenizer: Any, model: Any, settings: Settings) -> Any:
    """Return the page."""
    import gradio as gr
    import torch
    from transformers import TextIteratorStreamer

    one_at_a_time = threading.Lock()

    def respond(
        message: str,
        history: list[dict[str, Any]],
        system_prompt: str,
        seed: int | None,
        *sampling: Any,
    ) -> Iterator[str]:
        messages = [{"role": "system", "content": system_prompt}]
        for entry in history:
            text = "".join(part["text"] for part in entry["content"])
            messages.append({"role": entry["role"], "content": text})
        inputs = prompt(tokenizer, model, [*messages, {"role": "user", "content": message}])
        with one_at_a_time:
            if seed is not None:
                torch.manual_seed(int(seed))
            streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
            arguments = {**inputs, **options(*sampling), "streamer": streamer}
            thread = threading.Thread(target=model.generate, kwargs=arguments)
            thread.start()
            reply = ""
            for text in streamer:
                reply += text
                yield reply
            thread.join()

    return gr.ChatInterface(
        respond,
        title="The plain design",
        additional_inputs=[
            gr.Textbox(settings.system_prompt, label="System prompt"),
            gr.Number(None, label="Seed"),
            gr.Slider(1, 4096, settings.max_new_tokens, step=1, label="Max new tokens"),
            gr.Slider(0, 4096, settings.min_new_tokens, step=1, label="Min new tokens"),
            gr.Slider(0, 2, settings.temperature, label="Temperature"),
            gr.Slider(0, 1, settings.top_p, label="Top-p"),
            gr.Slider(0, 1000, settings.top_k, step=1, label="Top-k"),
            gr.Slider(0, 1, settings.min_p, label="Min-p"),
            gr.Slider(1, 2, settings.repetition_penalty, label="Repetition penalty"),
        ],
        analytics_enabled=False,
    )


def main(flags: list[str]) -> None:
    """Load the model and serve the page until ended."""
    settings = read(flags)
    page = build(*load(settings), settings)
    page.launch(server_name="127.0.0.1", server_port=settings.server_port)


if __name__ == "__main__":
    main(sys.argv[1:])
