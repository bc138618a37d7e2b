"""The page: a Gradio ChatInterface around `Chat.reply`, and its API endpoint `/chat`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import gradio as gr

from chat import status
from chat.callback import Chat
from chat.completion_page import CompletionPage
from chat.controls import SHOWN, controls
from chat.conversation import clean, text_of
from chat.look import FOCUS
from chat.panel import Panel, before
from chat.saved import Saved
from chat.seal import Seal
from chat.served import NO_PROMPT, TITLE, History, Served, responder, seen_prompt
from chat.settings import Settings

PLACEHOLDER = "**Say something.** Shift + Enter starts a new line."


def build(chat: Chat, settings: Settings) -> Served:
    """Return the page, by the model's kind; `chat.serve` serves it."""
    respond, shown = responder(chat), controls(settings, chat.engine)
    if chat.format.name == "plain":
        return CompletionPage(respond, shown)
    return Page(respond, shown, Saved(Seal(settings.data_dir)))


class Page(Served, gr.ChatInterface):
    """A ChatInterface with events of its own.

    Gradio's own chain of events cannot stop an edited turn, leaves the text box
    locked when one fails, and forgets a message that is refused. Here sending,
    retrying and editing are one chain: prepare, run, settle.
    """

    def __init__(
        self, respond: Any, controls: dict[str, gr.components.Component], saved: Saved
    ) -> None:
        with gr.Blocks():  # components need a parent, until the page renders them
            self.status = gr.Markdown(render=False, elem_id="status", container=False)
            self.prompt = gr.Textbox(
                label=NO_PROMPT, lines=4, max_lines=24, render=False, elem_id="prompt"
            )
        self._controls = controls
        self._saved = saved
        self.respond = respond
        super().__init__(
            respond,
            title=TITLE,
            chatbot=gr.Chatbot(
                show_label=False,
                editable="user",
                placeholder=PLACEHOLDER,
                buttons=["copy"],
                allow_tags=True,  # shows them as text; False drops the rest of the paragraph
                scale=1,
            ),
            textbox=gr.Textbox(
                placeholder="Type a message…",
                label="Message",
                elem_id="message",
                max_lines=12,
                submit_btn=True,
                stop_btn=True,
                autofocus=True,
                scale=7,
            ),
            additional_inputs=list(controls.values()),
            additional_outputs=[self.status],
            api_name="chat",
            concurrency_limit=None,  # the gate decides, for page and API together
            analytics_enabled=False,
            flagging_mode="never",
        )

    def _render_header(self) -> None:
        super()._render_header()
        # Gradio's own is not used, and ends the page where a browser allows no storage.
        self.saved_conversations.unrender()
        self.panel = Panel()

    def _render_footer(self) -> None:
        self.status.render()
        with gr.Accordion("Settings", open=False):
            for name in SHOWN:
                self._controls[name].render()
            with gr.Accordion("More", open=False):
                for name, control in self._controls.items():
                    if name not in SHOWN:
                        control.render()
        with gr.Accordion("Prompt", open=False):
            self.prompt.render()

    def _setup_events(self) -> None:
        original = gr.State()  # the conversation as it was, for a message that gets no answer
        prepared = [self.chatbot, self.chatbot_state, self.saved_input, original]
        prepared += [self.textbox, self.status]
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        begins = {"js": before("begin"), "queue": False, **quiet}
        runs = []
        for event in (
            self.textbox.submit(self._send, [self.textbox, self.chatbot], prepared, **begins),
            self.chatbot.retry(self._retry, [self.chatbot], prepared, **begins),
            self.chatbot.edit(self._edit, [self.chatbot], prepared, **begins),
        ):
            running = event.then(
                self._run,
                [self.saved_input, self.chatbot_state, *self.additional_inputs],
                [self.chatbot, self.status, self.prompt],
                concurrency_limit=None,
                postprocess=False,  # `_run` gives what the browser takes, 25 times a second
                **quiet,
            )
            self.panel.after(event, "begun", self.chatbot)
            # After Stop Gradio runs `failure`, and `success` too if the server was quick.
            for after in (running.success, running.failure):
                settled = after(
                    self._settle,
                    [self.chatbot, self.status, self.saved_input, original],
                    [self.chatbot, self.status, self.textbox],
                    js=before("settle"),
                    queue=False,
                    **quiet,
                )
                self.panel.after(settled, "changed", self.chatbot)
                settled.then(None, js=FOCUS, api_visibility="private")
            runs.append(running)
        self.textbox.stop(None, None, None, cancels=runs, api_visibility="private")
        undone = self.chatbot.undo(
            self._undo,
            [self.chatbot],
            [self.chatbot, self.textbox, self.status],
            js=before("change"),
            queue=False,
            **quiet,
        )
        cleared = self.chatbot.clear(
            lambda: ([], None, "", gr.Textbox("", label=NO_PROMPT)),
            None,
            [self.chatbot, self.saved_input, self.status, self.prompt],
            js=before("clear"),
            queue=False,
            cancels=runs,
            **quiet,
        )
        self.panel.after(undone, "changed", self.chatbot)
        self.panel.after(cleared, "changed", self.chatbot)
        unread = f"{{__type__: 'update', value: '', label: '{NO_PROMPT}'}}"
        self.panel.connect(self._saved, self.chatbot, {self.status: "''", self.prompt: unread})
        self.fake_api_btn.click(
            self._api_wrapper(self.fn, self._call),
            [self.textbox, self.chatbot_state, *self.additional_inputs],
            [self.api_response, self.chatbot_state, *self.additional_outputs],
            api_name=self.api_name,
            concurrency_limit=None,
            postprocess=False,
        )

    def _send(self, message: str, history: History) -> tuple[Any, ...]:
        return self._prepared(message or "", history, history)

    def _retry(self, history: History) -> tuple[Any, ...]:
        before, message = self._pop_last_user_message(history)
        return self._prepared(message, before, history)

    def _edit(self, history: History, edited: gr.EditData) -> tuple[Any, ...]:
        index = edited.index[0] if isinstance(edited.index, (list, tuple)) else edited.index
        # The page shows the edited text already, which must not stay if it is refused.
        history[index] = _entry("user", str(edited.previous_value))
        return self._prepared(str(edited.value), history[:index], history)

    def _prepared(self, message: str, before: History, original: History) -> tuple[Any, ...]:
        """Show the message at once, and Stop in place of the send button."""
        textbox = gr.Textbox("", interactive=False, submit_btn=False, stop_btn=True)
        message = clean(message)
        if not message.strip():
            return original, original, "", original, textbox, gr.skip()
        shown = [*before, _entry("user", message)]
        return shown, before, message, original, textbox, status.SENDING

    async def _run(
        self, message: str, history: History, *values: Any
    ) -> AsyncGenerator[tuple[Any, ...]]:
        """Run the callback for the page, where an error must not cover the conversation."""
        if not message:
            gr.Warning("Please write a message first.")
            yield gr.skip(), gr.skip(), gr.skip()  # without it, Gradio empties the chat
            return
        asked = self.chatbot.postprocess([*history, _entry("user", message)]).model_dump()
        seen = ""
        try:
            async with aclosing(self.heard(message, history, *values)) as updates:
                async for update in updates:
                    # No empty bubble while the prompt is being read.
                    reply = [{**asked[-1], **_entry("assistant", update.text)}] * bool(update.text)
                    # Not skip() each time, for which Gradio makes a component anew.
                    prompt = update.prompt if update.prompt == seen else seen_prompt(update)
                    seen = update.prompt
                    yield [*asked, *reply], status.line(update), prompt
        except gr.Error as error:
            gr.Warning(error.message)
            yield gr.skip(), status.failed(error.message), gr.skip()

    async def _call(
        self, message: str, history: History, *values: Any
    ) -> AsyncGenerator[tuple[Any, ...]]:
        """Run the callback for an API client, whose next message must not meet a refused one."""
        asked, text = [*history, _entry("user", message)], ""
        try:
            async with aclosing(self.heard(message, history, *values)) as updates:
                async for update in updates:
                    text = update.text
                    yield text, [*asked, _entry("assistant", text)], status.line(update)
        except gr.Error as error:
            state = [*asked, _entry("assistant", text)] if text else history
            yield text, state, status.failed(error.message)
            raise

    def _settle(
        self, history: History, last: str, message: str | None, original: History
    ) -> tuple[Any, ...]:
        """Unlock the text box; without any answer, all is as before and the message in the box."""
        textbox: dict[str, Any] = {"interactive": True, "submit_btn": True, "stop_btn": False}
        if message is None:  # cleared meanwhile
            return [], "", gr.Textbox(**textbox)
        last = status.stopped(last or "")
        if status.unanswered(last) and not _last_reply(history):
            retried = len(history) < len(original) and message == self._last_message(original)
            history = original
            if not retried:
                textbox["value"] = message
        return history, last, gr.Textbox(**textbox)

    def _last_message(self, history: History) -> str:
        return str(self._pop_last_user_message(history)[1])

    def _undo(self, history: History) -> tuple[Any, ...]:
        history, message = self._pop_last_user_message(history)
        return history, message, ""


def _entry(role: str, text: str) -> dict[str, Any]:
    """Return a message as a part, since Gradio takes the indentation off a bare string."""
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _last_reply(history: History) -> str:
    """Return the text of the last message if it is an assistant's."""
    if not history or history[-1]["role"] != "assistant":
        return ""
    return text_of(history[-1]["content"]).strip()
