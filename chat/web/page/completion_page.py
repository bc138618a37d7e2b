"""The page of a base model: one text, which the model continues in place."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import gradio as gr

from chat.core import status
from chat.core.conversation import clean
from chat.web.page.controls import SHOWN
from chat.web.page.served import NO_PROMPT, TITLE, Respond, Served, named, seen_prompt

HINT = "Write the beginning of a text, which the model then continues."


class CompletionPage(Served):
    """A text box, and buttons to continue, to stop and to undo."""

    def __init__(
        self, respond: Respond, controls: dict[str, gr.components.Component], examples: list[str]
    ) -> None:
        super().__init__(title=TITLE, analytics_enabled=False)
        self.respond = respond
        # There is nobody to instruct: what stands before the text is part of it.
        asked = [control for name, control in controls.items() if name != "system_prompt"]
        with self:
            gr.Markdown(f"<h1 style='text-align: center; margin-bottom: 1rem'>{TITLE}</h1>")
            self.text = gr.Textbox(
                label="Text", placeholder=HINT, lines=14, max_lines=28, autofocus=True
            )
            with gr.Row():
                self.undo = gr.Button("Undo", interactive=False)
                self.stop = gr.Button("Stop", variant="stop", visible=False)
                self.go = gr.Button("Continue", variant="primary")
            self.status = gr.Markdown(elem_id="status", container=False)
            gr.Examples(examples, self.text, cache_examples=False, api_visibility="private")
            with gr.Accordion("Settings", open=False):
                for name in SHOWN:
                    if name != "system_prompt":
                        controls[name].render()
                with gr.Accordion("More", open=False):
                    for control in asked:
                        if not control.is_rendered:
                            control.render()
            with gr.Accordion("Prompt", open=False):
                self.prompt = gr.Textbox(label=NO_PROMPT, lines=4, max_lines=24, elem_id="prompt")
            self._set_events(asked)

    def _set_events(self, asked: list[gr.components.Component]) -> None:
        before = gr.State("")  # the text as it was, for Undo
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        buttons = [self.text, self.undo, self.stop, self.go]
        begun = gr.on(
            [self.go.click, self.text.submit],
            self._begin,
            [self.text],
            [before, *buttons, self.status],
            queue=False,
            **quiet,
        )
        running = begun.then(
            self._run,
            [self.text, *asked],
            [self.text, self.status, self.prompt],
            concurrency_limit=None,  # the gate decides, for page and API together
            postprocess=False,
            **quiet,
        )
        for after in (running.then, running.failure):
            after(self._settle, [self.status], [*buttons, self.status], queue=False, **quiet)
        self.stop.click(None, None, None, cancels=[running], api_visibility="private")
        self.undo.click(
            lambda before: (before, "", gr.Button(interactive=False)),
            [before],
            [self.text, self.status, self.undo],
            queue=False,
            **quiet,
        )

        async def call(text: str, *values: Any) -> AsyncGenerator[tuple[str, str]]:
            """Continue a text for an API client, which gets what comes after it."""
            async with aclosing(self.heard(clean(text or ""), [], "", *values)) as updates:
                async for update in updates:
                    yield update.text, status.line(update)

        gr.Button(visible=False).click(
            named(call, "text"),
            [self.text, *asked],
            [gr.Textbox(visible=False), self.status],
            api_name="complete",
            concurrency_limit=None,
            postprocess=False,
        )

    def _begin(self, text: str) -> tuple[Any, ...]:
        return (
            text,
            gr.Textbox(interactive=False),
            gr.Button(interactive=False),
            gr.Button(visible=True),
            gr.Button(visible=False),
            status.SENDING,
        )

    def _settle(self, last: str) -> tuple[Any, ...]:
        return (
            gr.Textbox(interactive=True),
            gr.Button(interactive=True),
            gr.Button(visible=False),
            gr.Button(visible=True),
            status.stopped(last or ""),
        )

    async def _run(self, text: str, *values: Any) -> AsyncGenerator[tuple[Any, ...]]:
        """Continue the text, which stays whatever happens."""
        text, seen = clean(text or ""), ""
        try:
            async with aclosing(self.heard(text, [], "", *values)) as updates:
                async for update in updates:
                    prompt = update.prompt if update.prompt == seen else seen_prompt(update)
                    seen = update.prompt
                    yield text + update.text, status.line(update), prompt
        except gr.Error as error:
            gr.Warning(error.message)
            yield gr.skip(), status.failed(error.message), gr.skip()
