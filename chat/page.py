"""The page: a Gradio ChatInterface around `Chat.reply`, and its API endpoint `/chat`."""

import logging
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import gradio as gr
from gradio.context import LocalContext
from starlette.middleware import Middleware

from chat import status
from chat.callback import Chat, Update
from chat.conversation import clean, text_of
from chat.errors import ChatError, SettingsError, describe
from chat.guard import Guard
from chat.sampling import MAX_NEW_TOKENS, Sampling
from chat.settings import Settings
from prompts import PromptError

TITLE = "Fourbit Chat"
#: As in Gradio's own theme, but that has 600 for bold, and its file of that lacks the letters.
FONTS = {
    "font": [gr.themes.LocalFont("Source Sans Pro", weights=(400, 700)), "system-ui", "sans-serif"],
    "font_mono": [gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700)), "monospace"],
}
CSS = """
:root {
    --block-info-text-color: var(--neutral-500);
    --input-placeholder-color: var(--neutral-500);
}
#prompt textarea { font-family: var(--font-mono); font-size: var(--text-sm); }
#status { min-height: 1.6em; }
#status p { opacity: 0.75; font-size: var(--text-sm); margin: 0 4px; }
.message-content { contain: paint; }
footer { display: none !important; }
"""
NO_PROMPT = "Nothing yet"
PLACEHOLDER = "**Say something.** Shift + Enter starts a new line."

#: A picture that the model asks for must not tell another host who reads it.
HEAD = """
<meta http-equiv="Content-Security-Policy" content="img-src 'self' data: blob:; media-src 'self'">
"""

#: The text box loses the cursor when it is locked; not on phones, where it calls the keyboard.
FOCUS = """() => {
    if (document.activeElement === document.body && matchMedia("(pointer: fine)").matches)
        document.querySelector("#message textarea").focus({preventScroll: true});
}"""

#: Updates that a client may leave unread, 10 seconds' worth, before it counts as gone.
UNREAD = 250

UNEXPECTED = "Something went wrong on the server. Please try again."

log = logging.getLogger(__name__)

History = list[dict[str, Any]]


def _control(name: str, ends: tuple[float, float], step: float, value: float) -> gr.Slider:
    """Return the slider of one field of `Sampling`."""
    field = Sampling.model_fields[name]
    slider = gr.Slider(*ends, value, step=step, label=field.title, info=field.description)
    # Leave the checking to Sampling, which has a sentence for everything that can be wrong.
    slider.preprocess = lambda value: value
    return slider


def build(chat: Chat, settings: Settings) -> "Page":
    """Return the page; `launch` serves it."""
    longest = min(MAX_NEW_TOKENS, chat.engine.window // 2)
    start = settings.sampling().model_copy(
        update={"max_new_tokens": min(settings.max_new_tokens, longest)}
    )
    controls = [
        gr.Textbox(settings.system_prompt, label="System prompt", lines=2, max_lines=8),
        _control("max_new_tokens", (1, longest), 1, start.max_new_tokens),
        _control("temperature", (0, 2), 0.05, start.temperature),
        _control("top_p", (0.01, 1), 0.01, start.top_p),
        _control("top_k", (0, 1000), 1, start.top_k),
        _control("repetition_penalty", (1, 2), 0.01, start.repetition_penalty),
    ]

    async def respond(
        message: str,
        history: History,
        system_prompt: str,
        max_new_tokens: int,
        temperature: float,
        top_p: float,
        top_k: int,
        repetition_penalty: float,
    ) -> AsyncGenerator[Update]:
        """Answer one message: yields the reply so far, and a line on where it stands."""
        try:
            sampling = Sampling.checked(
                max_new_tokens=max_new_tokens,
                temperature=temperature,
                top_p=top_p,
                top_k=top_k,
                repetition_penalty=repetition_penalty,
            )
            async with aclosing(chat.reply(message, history, system_prompt, sampling)) as updates:
                async for update in updates:
                    yield update
        except (ChatError, PromptError) as error:
            raise gr.Error(str(error), print_exception=False) from None
        except Exception as error:
            log.error("%s", describe(error))
            raise gr.Error(UNEXPECTED, print_exception=False) from None

    return Page(respond, controls)


class Page(gr.ChatInterface):
    """A ChatInterface with events of its own.

    Gradio's own chain of events cannot stop an edited turn, leaves the text box
    locked when one fails, and forgets a message that is refused. Here sending,
    retrying and editing are one chain: prepare, run, settle.
    """

    def __init__(self, respond: Any, controls: list[gr.components.Component]) -> None:
        with gr.Blocks():  # components need a parent, until the page renders them
            self.status = gr.Markdown(render=False, elem_id="status", container=False)
            self.prompt = gr.Textbox(
                label=NO_PROMPT, lines=4, max_lines=24, render=False, elem_id="prompt"
            )
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
            additional_inputs=controls,
            additional_inputs_accordion=gr.Accordion("Settings", open=False),
            additional_outputs=[self.status],
            api_name="chat",
            concurrency_limit=None,  # the gate decides, for page and API together
            analytics_enabled=False,
            flagging_mode="never",
        )

    def _render_footer(self) -> None:
        self.status.render()
        super()._render_footer()
        with gr.Accordion("Prompt", open=False):
            self.prompt.render()

    def _setup_events(self) -> None:
        original = gr.State()  # the conversation as it was, for a message that gets no answer
        prepared = [self.chatbot, self.chatbot_state, self.saved_input, original]
        prepared += [self.textbox, self.status]
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        runs = []
        for event in (
            self.textbox.submit(
                self._send, [self.textbox, self.chatbot], prepared, queue=False, **quiet
            ),
            self.chatbot.retry(self._retry, [self.chatbot], prepared, queue=False, **quiet),
            self.chatbot.edit(self._edit, [self.chatbot], prepared, queue=False, **quiet),
        ):
            running = event.then(
                self._run,
                [self.saved_input, self.chatbot_state, *self.additional_inputs],
                [self.chatbot, self.status, self.prompt],
                concurrency_limit=None,
                **quiet,
            )
            # Gradio runs `then` after a success and after Stop, but not after a failure.
            for after in (running.then, running.failure):
                after(
                    self._settle,
                    [self.chatbot, self.status, self.saved_input, original],
                    [self.chatbot, self.chatbot_state, self.status, self.textbox],
                    queue=False,
                    **quiet,
                ).then(None, js=FOCUS, api_visibility="private")
            runs.append(running)
        self.textbox.stop(None, None, None, cancels=runs, api_visibility="private")
        self.chatbot.undo(
            self._undo,
            [self.chatbot],
            [self.chatbot, self.chatbot_state, self.textbox, self.status],
            queue=False,
            **quiet,
        )
        self.chatbot.clear(
            lambda: ([], [], None, "", gr.Textbox("", label=NO_PROMPT)),
            None,
            [self.chatbot, self.chatbot_state, self.saved_input, self.status, self.prompt],
            queue=False,
            cancels=runs,
            **quiet,
        )
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
        asked = [*history, _entry("user", message)]
        try:
            async with aclosing(self._heard(message, history, *values)) as updates:
                async for update in updates:
                    # No empty bubble while the prompt is being read.
                    reply = [_entry("assistant", update.text)] if update.text else []
                    prompt = gr.skip() if update.state != "reading" else _prompt(update)
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
            async with aclosing(self._heard(message, history, *values)) as updates:
                async for update in updates:
                    text = update.text
                    yield text, [*asked, _entry("assistant", text)], status.line(update)
        except gr.Error as error:
            state = [*asked, _entry("assistant", text)] if text else history
            yield text, state, status.failed(error.message)
            raise

    async def _heard(self, message: str, history: History, *values: Any) -> AsyncGenerator[Update]:
        """Run the callback for as long as its updates are fetched.

        Gradio notices a connection that breaks, but not one that was never made.
        """
        unread = self._queue.pending_messages_per_session
        request = LocalContext.request.get(None)
        session = getattr(request, "session_hash", None)
        async with aclosing(self.fn(message, history, *values)) as updates:
            async for update in updates:
                yield update
                if session in unread and unread[session].qsize() > UNREAD:
                    return

    async def process_api(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Handle one event; what cannot even be read gets a sentence, and stays out of the log."""
        try:
            return dict(await super().process_api(*args, **kwargs))
        except gr.Error:
            raise
        except Exception as error:
            log.error("%s", describe(error))
            raise gr.Error("The request could not be read.", print_exception=False) from None

    def _settle(
        self, history: History, last: str, message: str | None, original: History
    ) -> tuple[Any, ...]:
        """Unlock the text box; without any answer, all is as before and the message in the box."""
        textbox: dict[str, Any] = {"interactive": True, "submit_btn": True, "stop_btn": False}
        if message is None:  # cleared meanwhile
            return [], [], "", gr.Textbox(**textbox)
        last = status.stopped(last or "")
        if status.unanswered(last) and not _last_reply(history):
            retried = len(history) < len(original) and message == self._last_message(original)
            history = original
            if not retried:
                textbox["value"] = message
        return history, history, last, gr.Textbox(**textbox)

    def _last_message(self, history: History) -> str:
        return str(self._pop_last_user_message(history)[1])

    def _undo(self, history: History) -> tuple[Any, ...]:
        history, message = self._pop_last_user_message(history)
        return history, history, message, ""


def _entry(role: str, text: str) -> dict[str, Any]:
    """Return a message as a part, since Gradio takes the indentation off a bare string."""
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _prompt(update: Update) -> gr.Textbox:
    label = f"What the model read last: {update.prompt_tokens:,} tokens, control tokens visible"
    return gr.Textbox(update.prompt, label=label)


def _last_reply(history: History) -> str:
    """Return the text of the last message if it is an assistant's."""
    if not history or history[-1]["role"] != "assistant":
        return ""
    return text_of(history[-1]["content"]).strip()


def check_address(settings: Settings) -> None:
    """Find out before a model is loaded whether the page can be served.

    Raises:
        SettingsError: the address is not this machine's, or the port is in use.
    """
    host = settings.server_name or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    port = settings.server_port or int(os.environ.get("GRADIO_SERVER_PORT") or 0)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), port))
    except OSError as error:
        where = f"{host}:{port}" if port else host
        raise SettingsError(
            f"The page cannot be served at {where} ({error.strerror}); "
            "choose another --server-port or --server-name."
        ) from None


def launch(page: Page, settings: Settings, *, block: bool = True) -> str:
    """Serve the page and return its address; nothing is public unless `share` is set."""
    page.queue(api_open=False, max_size=settings.max_waiting + 64)
    _, url, _ = page.launch(
        share=settings.share,
        auth=settings.logins(),
        server_name=settings.server_name,
        server_port=settings.server_port,
        max_threads=settings.max_waiting + 64,
        state_session_capacity=500,
        app_kwargs={"middleware": [Middleware(Guard)]},
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        theme=gr.themes.Default(**FONTS),
        css=CSS,
        head=HEAD,
        prevent_thread_lock=not block,
    )
    return str(url)
