"""The page's own API: its endpoint `/chat`, for clients of Gradio."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import gradio as gr

from chat.core import status
from chat.core.chat import Update
from chat.errors import ChatError
from chat.web.page.controls import Controls
from chat.web.page.gradio_internals import named
from chat.web.page.history import History
from chat.web.page.turn import Turn

#: Takes a message, the history before it and the values of the controls.
Ask = Callable[[str, History, tuple[Any, ...]], AsyncGenerator[Update]]


def add_endpoint(message: gr.Textbox, controls: Controls, line: gr.Markdown, ask: Ask) -> None:
    """Add it to the page that is being built; its parameters are called as the controls are."""

    async def call(
        message: str, history: History, *values: Any
    ) -> AsyncGenerator[tuple[str, History, str]]:
        """Answer one message: yields the reply so far, and a line on where it stands."""
        turn, text, so_far = Turn(message, history, history), "", history
        try:
            async with aclosing(ask(message, history, values)) as updates:
                async for update in updates:
                    text, so_far = update.text, turn.answered(*turn.so_far(update))
                    yield text, so_far, status.line(update)
        except ChatError as error:
            # A message that was refused is not there when the next one comes.
            yield text, so_far if text else history, status.failed(str(error))
            raise

    said = gr.State([])  # by and to one client
    gr.Button(visible=False).click(
        named(call, "message", "history", *controls),
        [message, said, *controls.values()],
        [gr.JSON(label="Response", visible=False), said, line],
        api_name="chat",
        concurrency_limit=None,  # the gate decides
        postprocess=False,
    )
