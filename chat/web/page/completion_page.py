"""The page of a base model: one text, which the model continues in place."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from html import escape
from typing import Any

import gradio as gr

from chat.core import status
from chat.core.chat import Chat, Update
from chat.core.conversation import clean
from chat.errors import ChatError
from chat.web.page.ask import ask, fetched
from chat.web.page.controls import MORE, Changes, Controls, grouped, remember
from chat.web.page.gradio_internals import Blocks, named
from chat.web.page.prompt_box import prompt_box, shown_in_box
from chat.web.page.turn import Progress

HINT = "Write the beginning of a text, which the model then continues."


class CompletionPage(Blocks):
    """A text box, and buttons to continue, to stop and to undo."""

    def __init__(self, chat: Chat, title: str, controls: Controls, examples: list[str]) -> None:
        super().__init__(title=title, analytics_enabled=False)
        self.chat = chat
        # There is nobody to instruct: what stands before the text is part of it.
        self._controls = {
            name: control for name, control in controls.items() if name != "system_prompt"
        }
        with self:
            style = "text-align: center; margin-bottom: 1rem"
            gr.Markdown(f"<h1 style='{style}'>{escape(title)}</h1>")
            self.text = gr.Textbox(
                label="Text",
                elem_id="text",
                placeholder=HINT,
                lines=14,
                max_lines=28,
                autofocus=True,
            )
            with gr.Row():
                self.undo = gr.Button("Undo", interactive=False)
                self.stop = gr.Button("Stop", variant="stop", visible=False)
                self.go = gr.Button("Continue", variant="primary")
            self.status = gr.Markdown(elem_id="status", container=False)
            gr.Examples(examples, self.text, cache_examples=False, api_visibility="private")
            groups = grouped(self._controls)
            more = groups.pop(MORE)
            with gr.Accordion("Settings", open=False):
                for names in groups.values():
                    self._render(names)
                with gr.Accordion(MORE, open=False):
                    self._render(more)
            with gr.Accordion("Prompt", open=False):
                self.prompt = prompt_box()
            self._set_events()

    def _render(self, names: list[str]) -> None:
        for name in names:
            self._controls[name].render()

    def _set_events(self) -> None:
        self.before = gr.State("")  # the text as it was, for Undo
        self.reply = gr.State(Progress())
        controls = self._controls.values()
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        buttons = [self.text, self.undo, self.stop, self.go]
        begun = gr.on(
            [self.go.click, self.text.submit],
            self._begin,
            [self.text],
            [self.before, self.reply, *buttons, self.status],
            queue=False,
            **quiet,
        )
        running = begun.then(
            self._run,
            [self.reply, self.text, *controls],
            [self.text, self.status, self.prompt],
            concurrency_limit=None,  # the gate decides, for page and API together
            postprocess=False,
            **quiet,
        )
        for after in (running.then, running.failure):
            after(self._settle, [self.reply], [*buttons, self.status], queue=False, **quiet)
        remember(self, self._controls)
        self.stop.click(None, None, None, cancels=[running], api_visibility="private")
        self.undo.click(
            self._undo,
            [self.before, self.text],
            [self.before, self.text, self.status],
            queue=False,
            **quiet,
        )

        async def call(text: str, *values: Any) -> AsyncGenerator[tuple[str, str]]:
            """Continue a text for an API client, which gets what comes after it."""
            async with aclosing(self._ask(clean(text or ""), values)) as updates:
                async for update in updates:
                    yield update.text, status.line(update)

        gr.Button(visible=False).click(
            named(call, "text", *self._controls),
            [self.text, *controls],
            [gr.Textbox(visible=False), self.status],
            api_name="complete",
            concurrency_limit=None,
            postprocess=False,
        )

    def _begin(self, text: str) -> Changes:
        return {
            self.before: text,
            self.reply: Progress(),
            self.text: gr.Textbox(interactive=False),
            self.undo: gr.Button(interactive=False),
            self.stop: gr.Button(visible=True),
            self.go: gr.Button(visible=False),
            self.status: status.SENDING,
        }

    async def _run(self, reply: Progress, text: str, *values: Any) -> AsyncGenerator[Changes]:
        """Continue the text, which stays whatever happens."""
        text = clean(text or "")
        try:
            async with aclosing(self._ask(text, values)) as updates:
                async for update in updates:
                    before, reply.update = reply.update, update
                    yield {
                        self.text: text + update.text,
                        self.status: status.line(update),
                        self.prompt: shown_in_box(update, before),
                    }
        except ChatError as error:
            gr.Warning(str(error))
            reply.failure = str(error)
            yield {self.status: reply.line}

    def _settle(self, reply: Progress) -> Changes:
        return {
            self.text: gr.Textbox(interactive=True),
            self.undo: gr.Button(interactive=True),
            self.stop: gr.Button(visible=False),
            self.go: gr.Button(visible=True),
            self.status: reply.line,
        }

    def _undo(self, before: str, text: str) -> Changes:
        """Show the text as it was; once more, and it is back with all that was typed since."""
        return {self.before: text, self.text: before, self.status: ""}

    def _ask(self, text: str, values: tuple[Any, ...]) -> AsyncGenerator[Update]:
        given = dict(zip(self._controls, values, strict=True))
        return fetched(ask(self.chat, text, [], given), self.unread())
