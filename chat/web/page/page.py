"""The page: a Gradio ChatInterface around `Chat.reply`, and its API endpoint `/chat`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import gradio as gr

from chat.core import status
from chat.core.attached import split
from chat.core.chat import Chat, Update
from chat.core.conversation import clean, text_of
from chat.errors import ChatError, SettingsError
from chat.settings import Settings
from chat.settings.page import PageSettings
from chat.web.page.ask import ask, fetched
from chat.web.page.attach import Attach
from chat.web.page.chatbot import conversation, live
from chat.web.page.completion_page import CompletionPage
from chat.web.page.controls import Changes, Controls, controls, remember
from chat.web.page.drawer import drawer
from chat.web.page.endpoint import add_endpoint
from chat.web.page.escape import unescape
from chat.web.page.feedback import Feedback
from chat.web.page.gradio_internals import ChatInterface, update_in_javascript
from chat.web.page.header import header
from chat.web.page.history import History, entry, last_reply, last_thought, split_last
from chat.web.page.made import made
from chat.web.page.messages import place, shown
from chat.web.page.panel import CLEARS, EDITS, LATE, SENDS, UNSENT, Panel, before, settles
from chat.web.page.panel.saved import SavedConversations
from chat.web.page.panel.seal import Seal
from chat.web.page.prompt_box import EMPTY, prompt_box, shown_in_box
from chat.web.page.running import Running
from chat.web.page.theme import FOCUS
from chat.web.page.turn import NOTHING, Turn, lost
from prompts import PromptError, texts

HIDDEN = gr.Button(visible=False)
#: In words, since Gradio's pictures have none for who cannot see them.
BUTTONS = {"submit_btn": "Send", "stop_btn": "Stop"}


def build(chat: Chat, settings: Settings) -> "Page | CompletionPage":
    """Return the page, by the model's kind; `chat.web.serve` serves it."""
    try:
        file = settings.examples
        examples = texts.lines(file) if file else texts.examples(chat.format.name)
        parts = chat, settings.title, controls(settings, chat), examples
        if chat.format.name == "plain":
            return CompletionPage(*parts)
        seal = Seal(settings.data_dir, settings.conversations_secret())
        running = Running(chat.gate, settings.keep_seconds, seal)
        saved = SavedConversations(seal, chat if settings.titles else None)
        return Page(*parts, settings, saved, running)
    except PromptError as error:
        raise SettingsError(str(error)) from None


class Page(ChatInterface):
    """A ChatInterface in which sending, retrying, editing and continuing are one chain.

    It is begin, run, settle. In between the server keeps a `Turn`: what is asked, and how
    far the answer has come. The browser only shows what is made of it.
    """

    def __init__(
        self,
        chat: Chat,
        title: str,
        controls: Controls,
        examples: list[str],
        settings: PageSettings,
        saved: SavedConversations,
        running: Running,
    ) -> None:
        with gr.Blocks():  # components need a parent, until the page renders them
            self.status = gr.Markdown(render=False, elem_id="status", container=False)
            self.go_on = gr.Button(
                "Continue", size="sm", visible=False, render=False, min_width=100, scale=0
            )
            self.prompt = prompt_box(render=False)
            #: The turn that is being written, which the conversation gets at its end: with each
            #: update Gradio's page goes through all messages of a component.
            self.live = live(render=False)
            #: What the panel is told of a turn: the token of its reply, and in the end how that was
            #: made, as JSON.
            self.told = gr.Textbox(visible=False, render=False)
        self.chat = chat
        self._controls = controls
        self._settings = settings
        self._saved = saved
        self._running = running
        super().__init__(
            title=title,
            chatbot=conversation(settings.welcome),
            textbox=gr.Textbox(
                placeholder="Type a message…",
                label="Message",
                elem_id="message",
                max_lines=12,
                **BUTTONS,
                autofocus=True,
                scale=7,
            ),
            examples=examples,
            analytics_enabled=False,
            flagging_mode="never",
        )

    def add_header(self) -> None:
        """Render the line at the top, and the saved conversations."""
        header(self.title, self.chat.name, self._controls["adapter"])
        self.panel = Panel(self._controls["system_prompt"], self._settings)

    def add_chat(self) -> None:
        """Render the conversation, and where it goes on."""
        with gr.Column(elem_id="conversation"):
            self.chatbot.render()
            self.live.render()
        with gr.Column(elem_id="composer"):
            with gr.Row(elem_id="state", equal_height=True):
                self.status.render()
                self.go_on.render()
            self.textbox.render()

    def add_settings(self) -> None:
        """Render the settings and the prompt."""
        drawer(self._controls, self.chat, self.prompt)
        self.told.render()

    def add_events(self) -> None:
        """Connect the components."""
        self.turn = gr.State()  # a Turn, or None if nothing was sent to this server
        shown = [self.chatbot, self.live]
        begun = [self.turn, *shown, self.textbox, self.status, self.go_on, self.told]
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        begins = {"js": before("begin"), "queue": False, **quiet}
        runs = []
        for event in (
            self.textbox.submit(
                self._send,
                [self.textbox, self.chatbot],
                # What was said before stays as it is, and is copied for each event that names it.
                [one for one in begun if one is not self.chatbot],
                **{**begins, "js": SENDS},
            ),
            self.chatbot.retry(self._retry, [self.chatbot], begun, **begins),
            self.chatbot.edit(self._edit, [self.chatbot], begun, **{**begins, "js": EDITS}),
            self.chatbot.example_select(self._example, [self.chatbot], begun, **begins),
            self.go_on.click(self._continue, [self.chatbot], begun, **begins),
            self.panel.comes_back(self._come_back, [self.told], begun, queue=False, **quiet),
        ):
            running = event.success(
                self._run,
                [self.turn, *self._controls.values()],
                [self.live, self.status, self.prompt],
                concurrency_limit=None,  # the gate decides, for page and API together
                postprocess=False,  # `_run` gives what the browser takes, 25 times a second
                **quiet,
            )
            self.panel.after(event, "begun", *shown, self.told)
            # After Stop Gradio runs `failure`, and `success` too if the server was quick.
            for ended in ("success", "failure"):
                settled = getattr(running, ended)(
                    self._settle,
                    [self.turn, *shown, self.textbox, self.told],
                    [*shown, self.status, self.textbox, self.go_on, self.told],
                    js=settles(ended),
                    queue=False,
                    **quiet,
                )
                self.panel.after(settled, "settled", *shown, self.told)
                settled.then(None, js=FOCUS, api_visibility="private")
            runs.append(running)
        self.textbox.stop(
            self._stop,
            [self.turn],
            None,
            js=before("stop"),
            queue=False,
            cancels=runs,
            **quiet,
        )
        undone = self.chatbot.undo(
            self._undo,
            [self.chatbot, self.textbox],
            [self.chatbot, self.textbox, self.status, self.go_on],
            js=before("undo"),
            queue=False,
            **quiet,
        )
        cleared = self.chatbot.clear(
            self._clear,
            [self.turn, self.live, self._controls["system_prompt"]],
            [*shown, self.status, self.prompt, self.go_on],
            js=CLEARS,
            queue=False,
            cancels=runs,
            **quiet,
        )
        self.panel.after(undone, "undone", *shown)
        self.panel.after(cleared, "changed", *shown)
        system_prompt = [self._controls["system_prompt"]]
        cleared.then(
            None,
            system_prompt,
            system_prompt,
            js="(system) => window.conversations?.system(system) ?? system",
            api_visibility="private",
        )
        opened = {
            self.live: "[]",
            self.status: "window.conversations?.about()",
            self.prompt: update_in_javascript(value="", label=EMPTY),
            self.go_on: update_in_javascript(visible=False),
        }
        file = self._settings.feedback
        feedback = Feedback(file, self.chat) if file else None
        answers = self._saved, self._running, Attach(self.chat), feedback
        self.panel.connect(*answers, self.chatbot, self.live, opened)
        remember(self, self._controls)
        add_endpoint(self.textbox, self._controls, self.status, self._fetched)

    def _send(self, message: str, history: History) -> Changes:
        changes = self._begin(Turn(clean(message or ""), history, history), sent=True)
        # It is among them for a message of nothing, and as it was.
        return {one: value for one, value in changes.items() if one is not self.chatbot}

    def _retry(self, history: History) -> Changes:
        before, message = split_last(history)
        return self._begin(Turn(clean(message), before, history))

    def _edit(self, history: History, edited: gr.EditData) -> Changes:
        number = edited.index[0] if isinstance(edited.index, (list, tuple)) else edited.index
        index = place(history, number)
        # The page shows the edited text already, which must not stay if it is refused.
        history[index] = entry("user", unescape(str(edited.previous_value)))
        # theme.js has put what was typed into its text box, so there is nothing to unescape.
        return self._begin(Turn(clean(str(edited.value)), history[:index], history))

    def _example(self, history: History, example: gr.SelectData) -> Changes:
        return self._begin(Turn(clean(text_of(example.value)), history, history))

    def _continue(self, history: History) -> Changes:
        before, message = split_last(history)
        begun, thought = last_reply(history), last_thought(history)
        return self._begin(Turn(clean(message), before, history, begun, thought))

    def _come_back(self, token: str) -> Changes:
        """Go on with a reply that is being written, for whoever was cut off from it."""
        turn = self._running.find(token, self.login())
        changes = {**self._begin(turn), self.chatbot: turn.before}
        del changes[self.status]  # it says so already
        return changes

    def _begin(self, turn: Turn, *, sent: bool = False) -> Changes:
        """Show the message at once, and Stop in place of the send button.

        What is in the text box stays there, unless it was `sent`.
        """
        empty: dict[str, Any] = {"value": ""} if sent else {}
        locked = gr.Textbox(
            interactive=False, submit_btn=False, stop_btn=BUTTONS["stop_btn"], **empty
        )
        if not turn.message.strip():
            turn = Turn("", turn.original, turn.original)
            return {
                self.turn: turn,
                self.chatbot: turn.original,
                self.textbox: locked,
                self.told: "",
            }
        changes = {
            self.turn: turn,
            self.live: turn.answered(turn.begun, turn.thought)[len(turn.before) :],
            self.textbox: locked,
            self.status: status.SENDING,
            self.go_on: HIDDEN,
            self.told: self._running.token(turn, self.login()),
        }
        if turn.before != turn.original:  # else it is there, and may be long
            changes[self.chatbot] = turn.before
        return changes

    async def _run(self, turn: Turn | None, *values: Any) -> AsyncGenerator[Changes]:
        """Answer for the page, where an error must not cover the conversation."""
        if turn is None:  # this server knows nothing of it
            return
        if not turn.message:
            gr.Warning("Please write a message first.")
            yield {self.live: []}
            return
        asked = sent = self._as_sent(turn.asked[len(turn.before) :])
        like = {**asked[-1], "metadata": None}
        reply = turn.reply
        try:
            if not reply.kept:
                reply.controls = dict(zip(self._controls, values, strict=True))
                asked_for = turn.message, turn.before, reply.controls
                updates = ask(self.chat, *asked_for, turn.begun, turn.thought.text)
                self._running.begin(turn, updates, self.login())
            followed = fetched(reply.follow(), self.unread())
            async with aclosing(followed):
                async for update in followed:
                    # Nothing, and no empty bubble, while the prompt is being read.
                    answer = turn.answered(*turn.so_far(update))[len(turn.asked) :]
                    answer = shown(answer, thinking=update.state == "thinking")
                    sent = [*asked, *({**like, **message} for message in answer)]
                    before, reply.update = reply.update, update
                    yield {
                        self.live: sent,
                        self.status: status.line(update),
                        self.prompt: shown_in_box(update, before),
                    }
        except ChatError as error:
            gr.Warning(str(error))
            reply.failure = str(error)
            yield {self.live: sent, self.status: reply.line}

    async def _stop(self, turn: Turn | None) -> None:
        if turn:
            turn.reply.stop()

    def _settle(
        self, turn: Turn | None, history: History, live: History, typed: str | None, told: str
    ) -> Changes:
        """Show what came of it, and unlock the text box, where something is `typed`.

        After Stop this comes twice, and the second time, as is `told`, another turn has begun.
        """
        typed = typed or ""
        if told == LATE:
            return {self.told: self._running.token(turn, self.login()) if turn else LATE}
        textbox: dict[str, Any] = {"interactive": True, **BUTTONS, "stop_btn": False}
        how = ""
        if turn is None:
            after = lost([*history, *live])
        elif turn.reply.cleared:
            after = NOTHING
        elif not turn.message:
            textbox = gr.Textbox(**textbox)
            changes = {self.chatbot: turn.original, self.live: [], self.textbox: textbox}
            return {**changes, self.told: ""}
        else:
            seen = bool(last_reply(live) or last_thought(live).text)
            after = turn.outcome(seen=seen)
            if after.history is not turn.original:
                how = made(self.chat, turn.reply)
        if after.draft is not None:
            draft = split(after.draft)[1]  # its files the browser has
            there = typed.endswith(draft)  # since this may come twice
            textbox["value"] = typed if there else "\n\n".join(filter(None, [typed, draft]))
        changes = {
            self.chatbot: after.history,
            self.live: [],
            self.status: after.line,
            self.textbox: gr.Textbox(**textbox),
            self.go_on: gr.Button(visible=after.more),
            self.told: how,
        }
        if turn is None and told == UNSENT:  # it stays as the browser has it
            del changes[self.chatbot], changes[self.live]
        return changes

    def _undo(self, history: History, typed: str | None) -> Changes:
        """Have the last message written once more, before what is typed already."""
        history, message = split_last(history)
        said = "\n\n".join(filter(None, [split(message)[1], typed]))
        return {self.chatbot: history, self.textbox: said, self.status: "", self.go_on: HIDDEN}

    async def _clear(self, turn: Turn | None, *_: Any) -> Changes:
        await self._stop(turn)
        if turn:
            turn.reply.cleared = True
        return {
            self.chatbot: [],
            self.live: [],
            self.status: "",
            self.prompt: gr.Textbox("", label=EMPTY),
            self.go_on: HIDDEN,
        }

    def _fetched(
        self, message: str, history: History, values: tuple[Any, ...]
    ) -> AsyncGenerator[Update]:
        controls = dict(zip(self._controls, values, strict=True))
        return fetched(ask(self.chat, message, history, controls), self.unread())

    def _as_sent(self, history: History) -> History:
        """Return a history as the browser takes it."""
        sent: History = self.live.postprocess(history).model_dump()
        return sent
