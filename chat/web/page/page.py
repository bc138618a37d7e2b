"""The page: a Gradio ChatInterface around `Chat.reply`, and its API endpoint `/chat`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import gradio as gr

from chat.core import status
from chat.core.chat import Chat
from chat.core.conversation import clean, text_of
from chat.errors import SettingsError
from chat.settings import Settings
from chat.web.page.chatbot import History, chatbot, entry
from chat.web.page.completion_page import CompletionPage
from chat.web.page.controls import SHOWN, controls
from chat.web.page.escape import shown, written
from chat.web.page.panel import Panel, before
from chat.web.page.panel.saved import Saved
from chat.web.page.panel.seal import Seal
from chat.web.page.served import NO_PROMPT, TITLE, Respond, Served, responder, seen_prompt
from chat.web.page.theme import FOCUS
from prompts import PromptError, texts

HIDDEN = gr.Button(visible=False)
#: In words, since Gradio's pictures have none for who cannot see them.
BUTTONS = {"submit_btn": "Send", "stop_btn": "Stop"}


def build(chat: Chat, settings: Settings) -> Served:
    """Return the page, by the model's kind; `chat.web.serve` serves it."""
    page: Served
    try:
        parts = responder(chat), controls(settings, chat.engine), texts.examples(chat.format.name)
        if chat.format.name == "plain":
            page = CompletionPage(*parts)
        else:
            page = Page(*parts, Saved(Seal(settings.data_dir)))
    except PromptError as error:
        raise SettingsError(str(error)) from None
    page.chat = chat
    return page


class Page(Served, gr.ChatInterface):
    """A ChatInterface with events of its own.

    Gradio's own chain of events cannot stop an edited turn, leaves the text box
    locked when one fails, and forgets a message that is refused. Here sending,
    retrying, editing and continuing are one chain: prepare, run, settle.
    """

    def __init__(
        self,
        respond: Respond,
        controls: dict[str, gr.components.Component],
        examples: list[str],
        saved: Saved,
    ) -> None:
        with gr.Blocks():  # components need a parent, until the page renders them
            self.status = gr.Markdown(render=False, elem_id="status", container=False)
            self.go_on = gr.Button(
                "Continue", size="sm", visible=False, render=False, min_width=100, scale=0
            )
            self.preset = gr.Dropdown(
                [*texts.presets().items()],
                value=None,
                label="Presets",
                info="Each puts its own text into the system prompt.",
                render=False,
            )
            self.prompt = gr.Textbox(
                label=NO_PROMPT, lines=4, max_lines=24, render=False, elem_id="prompt"
            )
        self._controls = controls
        self._saved = saved
        self.respond = respond
        super().__init__(
            respond,
            title=TITLE,
            chatbot=chatbot(),
            textbox=gr.Textbox(
                placeholder="Type a message…",
                label="Message",
                elem_id="message",
                max_lines=12,
                **BUTTONS,
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
        # Given to Gradio's own chain of events, they would be run by that.
        self.chatbot.examples = [{"text": example} for example in examples]

    def _render_header(self) -> None:
        super()._render_header()
        # Gradio's own is not used, and ends the page where a browser allows no storage.
        self.saved_conversations.unrender()
        self.panel = Panel()

    def _render_footer(self) -> None:
        with gr.Row(elem_id="state", equal_height=True):
            self.status.render()
            self.go_on.render()
        with gr.Accordion("Settings", open=False):
            self.preset.render()
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
        begun = gr.State("")  # what there is of the reply already
        prepared = [self.chatbot, self.chatbot_state, self.saved_input, begun, original]
        prepared += [self.textbox, self.status, self.go_on]
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        begins = {"js": before("begin"), "queue": False, **quiet}
        runs = []
        for event in (
            self.textbox.submit(self._send, [self.textbox, self.chatbot], prepared, **begins),
            self.chatbot.retry(self._retry, [self.chatbot], prepared, **begins),
            self.chatbot.edit(self._edit, [self.chatbot], prepared, **begins),
            self.chatbot.example_select(self._example, [self.chatbot], prepared, **begins),
            self.go_on.click(self._continue, [self.chatbot], prepared, **begins),
        ):
            running = event.then(
                self._run,
                [self.saved_input, self.chatbot_state, begun, *self.additional_inputs],
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
                    [self.chatbot, self.status, self.textbox, self.go_on],
                    js=before("settle"),
                    queue=False,
                    **quiet,
                )
                self.panel.after(settled, "changed", self.chatbot)
                settled.then(None, js=FOCUS, api_visibility="private")
            runs.append(running)
        self.preset.input(
            None,
            [self.preset],
            [self._controls["system_prompt"], self.preset],
            js="(text) => [text, null]",  # it is a menu: the system prompt shows what was chosen
            api_visibility="private",
        )
        self.textbox.stop(None, None, None, cancels=runs, api_visibility="private")
        undone = self.chatbot.undo(
            self._undo,
            [self.chatbot],
            [self.chatbot, self.textbox, self.status, self.go_on],
            js=before("change"),
            queue=False,
            **quiet,
        )
        cleared = self.chatbot.clear(
            lambda: ([], None, "", gr.Textbox("", label=NO_PROMPT), HIDDEN),
            None,
            [self.chatbot, self.saved_input, self.status, self.prompt, self.go_on],
            js=before("clear"),
            queue=False,
            cancels=runs,
            **quiet,
        )
        self.panel.after(undone, "changed", self.chatbot)
        self.panel.after(cleared, "changed", self.chatbot)
        opened = {
            self.status: "''",
            self.prompt: f"{{__type__: 'update', value: '', label: '{NO_PROMPT}'}}",
            self.go_on: "{__type__: 'update', visible: false}",
        }
        self.panel.connect(self._saved, self.chatbot, opened)
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
        history[index] = entry("user", written(str(edited.previous_value)))
        return self._prepared(written(str(edited.value)), history[:index], history)

    def _example(self, history: History, example: gr.SelectData) -> tuple[Any, ...]:
        return self._prepared(text_of(example.value), history, history)

    def _continue(self, history: History) -> tuple[Any, ...]:
        before, message = self._pop_last_user_message(history)
        return self._prepared(message, before, history, _last_reply(history))

    def _prepared(
        self, message: str, before: History, original: History, begun: str = ""
    ) -> tuple[Any, ...]:
        """Show the message at once, and Stop in place of the send button."""
        textbox = gr.Textbox("", interactive=False, submit_btn=False, stop_btn=BUTTONS["stop_btn"])
        message = clean(message)
        if not message.strip():
            return original, original, "", "", original, textbox, gr.skip(), HIDDEN
        asked = [*before, entry("user", message)] + [entry("assistant", begun)] * bool(begun)
        return asked, before, message, begun, original, textbox, status.SENDING, HIDDEN

    async def _run(
        self, message: str, history: History, begun: str, *values: Any
    ) -> AsyncGenerator[tuple[Any, ...]]:
        """Run the callback for the page, where an error must not cover the conversation."""
        if not message:
            gr.Warning("Please write a message first.")
            yield gr.skip(), gr.skip(), gr.skip()  # without it, Gradio empties the chat
            return
        asked = self.chatbot.postprocess([*history, entry("user", message)]).model_dump()
        seen = ""
        try:
            async with aclosing(self.heard(message, history, *values, begun=begun)) as updates:
                async for update in updates:
                    text = shown(update.text or begun)
                    # No empty bubble while the prompt is being read.
                    reply = [{**asked[-1], **entry("assistant", text)}] * bool(text)
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
        asked, text = [*history, entry("user", message)], ""
        try:
            async with aclosing(self.heard(message, history, *values)) as updates:
                async for update in updates:
                    text = update.text
                    yield text, [*asked, entry("assistant", text)], status.line(update)
        except gr.Error as error:
            state = [*asked, entry("assistant", text)] if text else history
            yield text, state, status.failed(error.message)
            raise

    def _settle(
        self, history: History, last: str, message: str | None, original: History
    ) -> tuple[Any, ...]:
        """Unlock the text box; without any answer, all is as before and the message in the box."""
        textbox: dict[str, Any] = {"interactive": True, **BUTTONS, "stop_btn": False}
        if message is None:  # cleared meanwhile
            return [], "", gr.Textbox(**textbox), HIDDEN
        last = status.stopped(last or "")
        if status.unanswered(last) and not _last_reply(history):
            retried = len(history) < len(original) and message == self._last_message(original)
            history = original
            if not retried:
                textbox["value"] = message
        more = status.unfinished(last) and bool(_last_reply(history))
        return history, last, gr.Textbox(**textbox), gr.Button(visible=more)

    def _last_message(self, history: History) -> str:
        return str(self._pop_last_user_message(history)[1])

    def _undo(self, history: History) -> tuple[Any, ...]:
        history, message = self._pop_last_user_message(history)
        return history, message, "", HIDDEN


def _last_reply(history: History) -> str:
    """Return the text of the last message if it is an assistant's."""
    if not history or history[-1]["role"] != "assistant":
        return ""
    text = text_of(history[-1]["content"])
    return text if text.strip() else ""  # the indentation at its beginning is a part of it
