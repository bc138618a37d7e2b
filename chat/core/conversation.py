"""From a history of any origin to clean messages, in turn."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chat.errors import BadRequest
from prompts import Message
from prompts.base import NOTHING
from prompts.order import joined

LONE_SURROGATES = re.compile("[\ud800-\udfff]")
#: What ends a line besides a new line: Word has the third within a paragraph, a page the fourth.
ENDS = ("\r\n", "\r", "\x0b", "\x0c", "\x85")
CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Conversation:
    """What is to be answered: messages in any order, of which no two in a row are from one side.

    Only those of tools can be, each of which is the result of one call. If the last one is
    the assistant's, it is the part of the reply that is there already, and is to go on.
    """

    messages: Sequence[Message]

    @property
    def asked(self) -> Sequence[Message]:
        """The messages before the reply."""
        return self.messages[:-1] if self.messages[-1].role == "assistant" else self.messages

    @property
    def begun(self) -> Message:
        """The part of the reply that is there already."""
        last = self.messages[-1]
        return last if last.role == "assistant" else NOTHING

    def with_begun(self, text: str, thought: str = "") -> "Conversation":
        """Return the same conversation with this much of the reply there already."""
        begun = [Message("assistant", text, thought=thought)] if text or thought else []
        return Conversation([*self.asked, *begun])

    def with_system(self, prompt: str) -> "Conversation":
        """Return the same conversation with another system prompt at its beginning, or none."""
        system = [Message("system", prompt)] if prompt else []
        return Conversation([*system, *self.messages[self.messages[0].role == "system" :]])


def rebuild(
    history: Any, message: Any, system_prompt: Any, begun: Any = "", thought: Any = ""
) -> Conversation:
    """Return the conversation in whatever a page sent.

    `history` holds mappings with `role` and `content` (a string or a list of
    parts), as Gradio keeps it. What is neither a user's nor an assistant's text
    is left out; messages in a row from one side, as a Stop or an error leaves
    them, become one. `begun` is the part of the reply that is there already, and `thought` what was
    thought before that.

    Raises:
        BadRequest: the message is empty.
    """
    message = clean(text_of(message))
    if not message.strip():
        raise BadRequest("Please write a message first.", "message")
    said = [*(history if isinstance(history, list) else []), {"role": "user", "content": message}]
    begun, thought = clean(text_of(begun)), clean(text_of(thought))
    conversation = Conversation(dialogue(said)).with_begun(begun, thought)
    return conversation.with_system(clean(text_of(system_prompt)).strip())


def dialogue(history: Any) -> list[Message]:
    """Return what of `history` is a user's or an assistant's text, in turn; either may begin."""
    return joined(entry for entry in _entries(history) if _says(entry))


def conversation(said: Iterable[Message], system_prompt: str) -> Conversation:
    """Return the conversation in messages in any order; `system_prompt` is for who brings none.

    Blank ones are left out, and those in a row from one side become one.

    Raises:
        BadRequest: nobody but the assistant says anything, or its last message calls tools,
            which come next.
    """
    cleaned = [
        message._replace(content=clean(message.content), thought=clean(message.thought))
        for message in said
    ]
    messages = joined(one for one in cleaned if _says(one) or one.calls or one.role == "tool")
    if all(message.role == "assistant" for message in messages):
        raise BadRequest("Please write a message first.", "message")
    if messages[-1].calls:
        raise BadRequest("The last message calls tools; send what they returned too.", "message")
    if messages[0].role == "system":
        system_prompt = messages[0].content
    elif any(message.role == "system" for message in cleaned):
        system_prompt = ""
    return Conversation(messages).with_system(clean(system_prompt).strip())


def _entries(history: Any) -> Iterable[Message]:
    for entry in history if isinstance(history, list) else []:
        if isinstance(entry, Mapping) and entry.get("role") in ("user", "assistant"):
            said, thought = entry.get("content"), entry.get("reasoning_content")
            yield Message(entry["role"], clean(text_of(said)), thought=clean(text_of(thought)))


def _says(message: Message) -> bool:
    return bool((message.content or message.thought).strip())


def text_of(content: Any) -> str:
    """Return the text in a message's content: a string, a part, or a list of parts."""
    match content:
        case str():
            return content
        case {"text": str(text)}:
            return text
        case list():
            return "".join(text_of(part) for part in content if not isinstance(part, list))
        case _:
            return ""


def clean(text: str) -> str:
    """Replace what is not a character, and drop control characters but tab and what ends a line."""
    for end in ENDS:
        text = text.replace(end, "\n")
    return CONTROL_CHARACTERS.sub("", LONE_SURROGATES.sub("\ufffd", text))
