"""The last line under the chat, in words: what is happening, or what happened.

Nothing is ever read back out of it: who has to know keeps the `Update`.
"""

from chat.core.chat import Update

SENDING = "Sending…"


def line(update: Update) -> str:
    """Describe where a reply stands."""
    match update.state:
        case "waiting":
            before = "1 person is" if update.place == 1 else f"{update.place} people are"
            text = f"Waiting: {before} ahead of you…"
        case "reading" if update.queued:
            text = "Waiting: the model's server answers others first…"
        case "reading":
            text = f"Reading {_count(update.prompt_tokens, 'token')}…"
        case "thinking":
            text = f"Thinking: {_figures(update)}…"
        case "writing":
            text = f"Writing: {_figures(update)}…"
        case "finished":
            text = f"Finished: {_figures(update)}"
        case "length":
            text = f"Cut off at the length limit: {_figures(update)}"
    return text + _notice(update)


def stopped(update: Update | None) -> str:
    """Describe a reply of which `update` was the last, or that had none, and no more will come."""
    if update is None:
        return "Stopped before the first word"
    match update.state:
        case "waiting" | "reading":
            return "Stopped before the first word" + _notice(update)
        case "thinking" | "writing":
            return f"Stopped: {_figures(update)}" + _notice(update)
        case _:
            return line(update)


def failed(sentence: str) -> str:
    """Describe a reply that ended in an error."""
    return f"Failed: {sentence}"


def _figures(update: Update) -> str:
    tokens = _count(update.tokens, "token")
    if update.tokens < 2 or update.seconds <= 0:
        return tokens
    return f"{tokens}, {(update.tokens - 1) / update.seconds:.1f} tokens/s"


def _notice(update: Update) -> str:
    if not update.dropped_turns:
        return ""
    turns = "turn is" if update.dropped_turns == 1 else f"{update.dropped_turns} turns are"
    return f" · The conversation is too long for the model, so its oldest {turns} left out."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
