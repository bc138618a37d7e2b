"""The last line under the chat: what is happening, or what happened.

A line that ends in "…" is about a reply that is still on its way.
"""

from chat.core.chat import Update

LIVE = "…"
SENDING = f"Sending{LIVE}"


def line(update: Update) -> str:
    """Describe where a reply stands."""
    match update.state:
        case "waiting":
            before = "1 person is" if update.place == 1 else f"{update.place} people are"
            text = f"Waiting: {before} ahead of you{LIVE}"
        case "reading":
            text = f"Reading {_count(update.prompt_tokens, 'token')}{LIVE}"
        case "writing":
            text = f"Writing: {_figures(update)}{LIVE}"
        case "finished":
            text = f"Finished: {_figures(update)}"
        case "length":
            text = f"Cut off at the length limit: {_figures(update)}"
    if update.dropped_turns:
        text += (
            " · The conversation is too long for the model, so its oldest "
            f"{_turns(update)} left out."
        )
    return text


def stopped(last: str) -> str:
    """Return the line for a reply that was stopped when `last` was shown."""
    head, live, notice = last.partition(LIVE)
    if not live:
        return last
    name, _, figures = head.partition(": ")
    return (
        f"Stopped: {figures}" if name == "Writing" else "Stopped before the first word"
    ) + notice


def failed(sentence: str) -> str:
    """Return the line for a reply that ended in an error."""
    return f"Failed: {sentence}"


def unanswered(last: str) -> bool:
    """Whether a reply that left `last` behind had not begun, or was refused."""
    return last.startswith(("Failed", "Stopped before"))


def unfinished(last: str) -> bool:
    """Whether the reply that left `last` behind has more to say."""
    return last.startswith(("Cut off", "Stopped:"))


def _figures(update: Update) -> str:
    tokens = _count(update.tokens, "token")
    if update.tokens < 2 or update.seconds <= 0:
        return tokens
    return f"{tokens}, {(update.tokens - 1) / update.seconds:.1f} tokens/s"


def _turns(update: Update) -> str:
    return "turn is" if update.dropped_turns == 1 else f"{update.dropped_turns} turns are"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
