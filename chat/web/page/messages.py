"""Messages as the browser has them: all text escaped, and a thought before its reply.

Gradio folds a message that has a title. It copies that with the reply, too, so each of the
two begins with a definition of Markdown, which shows nothing: theme.js knows by them what
is not to be copied. `escape` lets nobody else write these.
"""

import re
from collections.abc import Mapping
from typing import Any

from chat.core.attached import split
from chat.core.conversation import text_of
from chat.web.page.escape import escape, unescape, verbatim
from chat.web.page.history import NO_THOUGHT, History, Thought, entry, thought_of

#: What a thought begins with, and the reply after it, which may be empty.
THOUGHT, REPLY = "[&#00173;]: #\n\n", "[&#00174;]: #\n\n"
#: Matches what of a text to be copied is thought, in JavaScript: with its title, which Gradio
#: puts before it where it copies one reply.
COPIED = r"(?:^.*\n {2})?\[&#00173;\]: #\n\n[^]*?\[&#00174;\]: #\n\n"
#: What a thought took: Gradio gives ids back, and shows none.
FIGURES = re.compile(r"([0-9]{1,7}\.[0-9]) ([0-9]{1,9})")


def shown(history: Any, *, thinking: bool = False) -> History:
    """Return a history as the browser gets it: a reply is Markdown, all else is typed.

    Each thought is a message of its own there, and the last grows if the model is `thinking`;
    and so is each file that comes with a message.
    """
    found: History = []
    for one in history or []:
        text = text_of(one["content"])
        if one["role"] != "assistant":
            files, said = split(text)
            for name, block in files:
                folded = {"title": verbatim(name), "status": "done"}
                found.append({**entry(one["role"], verbatim(block)), "metadata": folded})
            if said or not files:
                found.append(entry(one["role"], verbatim(said)))
        elif (thought := thought_of(one)).text:
            took = f"{thought.seconds:.1f} {thought.tokens}"
            folded = {"title": title(thought, thinking), "id": took}
            if thinking or text:
                folded["status"] = "pending" if thinking else "done"  # else it stays open
            found.append({**entry("assistant", THOUGHT + escape(thought.text)), "metadata": folded})
            found.append(entry("assistant", REPLY + escape(text)))
        else:
            found.append(entry("assistant", escape(text)))
    return found


def given(messages: Any) -> History:
    """Return the history in what the browser sent, or whoever says to be one."""
    found: History = []
    thought = NO_THOUGHT
    for one in messages if isinstance(messages, list) else []:
        if not isinstance(one, Mapping):
            continue
        role, text = one.get("role"), text_of(one.get("content"))
        if role == "assistant" and text.startswith(THOUGHT):
            found.append(entry(role, "", thought := _thought(text, one.get("metadata"))))
        elif role == "assistant" and thought.text and text.startswith(REPLY):
            found[-1] = entry(role, unescape(text.removeprefix(REPLY)), thought)
        else:
            thought = NO_THOUGHT
            found.append(entry(str(role), unescape(text)))
    return found


def place(history: History, number: int) -> int:
    """Return where in a history the message of this number is that the browser has of it."""
    for at, one in enumerate(history):
        number -= 1 + ("reasoning_content" in one)
        if number < 0:
            return at
    return len(history)


def title(thought: Thought, thinking: bool = False) -> str:
    """Say what a thought took, or takes while the model is `thinking`."""
    time = _time(thought.seconds)
    if thinking:
        return f"Thinking, {time}"
    if not thought.tokens:
        return "Thought"
    return f"Thought for {time}, {thought.tokens:,} token{'s' * (thought.tokens != 1)}"


def _time(seconds: float) -> str:
    whole = round(seconds)
    if whole >= 60:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole} s" if whole else "under 1 s"


def _thought(text: str, metadata: Any) -> Thought:
    id = metadata.get("id") if isinstance(metadata, Mapping) else None
    took = FIGURES.fullmatch(str(id))
    text = unescape(text.removeprefix(THOUGHT))
    return Thought(text, float(took[1]), int(took[2])) if took else Thought(text)
