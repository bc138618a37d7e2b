"""The chat in a terminal, around `Chat.reply` as the page is.

A line is a message, unless it is a command (see `HELP`). The conversation is
kept in memory, as `Chat.reply` takes it, and nowhere else.
"""

import asyncio
from collections.abc import Callable

from chat.core import status, transcript
from chat.core.chat import Chat
from chat.core.conversation import clean, rebuild
from chat.core.sampling import Sampling
from chat.errors import BadRequest, ChatError
from chat.terminal.console import Console
from prompts import Message

HELP = """\
clear         forget the conversation
stop          leave; so do exit, quit and Ctrl-D
/retry        get another reply to the last message
/undo         take the last message back, to edit it
/system TEXT  set the system prompt; off for none; without TEXT, show it
/save FILE    write the conversation to a file, as JSON, or as Markdown (.md)
/load FILE    go on with a conversation that was saved, here or by another program
help          show this

Alt-Enter starts a new line. Ctrl-C stops a reply, or leaves if there is none.
A line that begins with a space is always a message."""

#: What is a command without a slash too.
WORDS = ("clear", "stop", "exit", "quit", "help")


class Terminal:
    """One conversation. `ask(draft)` returns what the user types, or raises EOFError."""

    def __init__(
        self,
        chat: Chat,
        console: Console,
        ask: Callable[[str], str],
        system_prompt: str,
        sampling: Sampling,
    ) -> None:
        self._chat = chat
        self._console = console
        self._ask = ask
        self._system_prompt = clean(system_prompt)
        self._sampling = sampling
        #: User and assistant in turn, the last reply included; a greeting may come first.
        self._messages: list[Message] = []
        #: What the user is offered to edit next.
        self._draft = ""
        #: Whether there was no error yet.
        self.faultless = True

    def run(self) -> None:
        """Take lines until the user leaves, or the model has failed for good.

        Raises:
            KeyboardInterrupt: for Ctrl-C, unless it stopped a reply.
        """
        with asyncio.Runner() as runner:
            while True:
                draft, self._draft = self._draft, ""
                try:
                    self._take(self._ask(draft), runner)
                except EOFError:
                    return
                except ChatError as error:
                    self._console.say(str(error))
                    self.faultless = False
                    if self._chat.engine.state == "failed":
                        return

    def _take(self, line: str, runner: asyncio.Runner) -> None:
        """Do what one line says.

        Raises:
            EOFError: the user leaves.
            ChatError: it cannot be done, and everything is as it was.
        """
        if not line.strip():
            return
        self._draft = line
        if not line.startswith("/") and line.rstrip() not in WORDS:
            runner.run(self._send(line, self._messages))
            return
        match line.removeprefix("/").split(maxsplit=1):
            case ["clear"]:
                self._messages = []
                self._console.clear()
            case ["stop" | "exit" | "quit"]:
                raise EOFError
            case ["help"]:
                self._console.say(HELP)
            case ["retry"]:
                before, message = self._before_last()
                runner.run(self._send(message, before))
            case ["undo"]:
                self._messages, self._draft = self._before_last()
                return
            case ["system"]:
                self._console.say(self._system_prompt or "There is no system prompt.")
            case ["system", text]:
                self._system_prompt = "" if text.strip() == "off" else clean(text)
            case ["save", file]:
                self._save(file.strip())
            case ["load", file]:
                self._load(file.strip())
            case ["save" | "load" as command]:
                raise BadRequest(f"Name a file: /{command} FILE.")
            case _:
                raise BadRequest("There is no such command; help shows those there are.")
        self._draft = ""

    async def _send(self, text: str, before: list[Message]) -> None:
        """Ask for a reply. Without one, the conversation stays and the message is offered again.

        The first Ctrl-C cancels this task, and nothing else.
        """
        console, history = self._console, [message.entry for message in before]
        conversation = rebuild(history, text, self._system_prompt)
        try:
            await console.stream(self._chat.reply(conversation, self._sampling))
        except asyncio.CancelledError:
            if not console.live:
                raise
            console.note(status.stopped(console.update))
        finally:
            if console.text:
                thought = console.update.thought if console.update else ""
                reply = Message("assistant", console.text, thought=thought)
                self._messages, self._draft = [*before, Message("user", clean(text)), reply], ""

    def _before_last(self) -> tuple[list[Message], str]:
        """Return the conversation before the last message, and that message."""
        if len(self._messages) < 2:  # a greeting is none
            raise BadRequest("There is no message yet.")
        return self._messages[:-2], self._messages[-2].content

    def _save(self, file: str) -> None:
        system = [Message("system", self._system_prompt)] if self._system_prompt else []
        transcript.save(file, [*system, *self._messages])
        self._console.note(f"Saved to {file}.")

    def _load(self, file: str) -> None:
        messages = transcript.read(file, self._console.note)
        system = [message.content for message in messages[:1] if message.role == "system"]
        self._messages, self._system_prompt = messages[len(system) :], "".join(system)
        self._console.note(f"Loaded {len(self._messages)} messages.")
