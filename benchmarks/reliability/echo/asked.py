"""What a message asks for: `Please say moon. !half:7f3a!` for half a message in the pipe, once."""

import os
import re
import threading
from pathlib import Path

#: Words of a message that ask for something, each with a name that makes it happen once.
FAULT = re.compile(r"!(\w+):(\w+)!")
SAY = re.compile(r"Please say (\w+)\.")
#: After so many tokens of a reply comes what is to come in the midst of it.
MIDST = 12
#: Of the environment: the file in which any of the processes notes what did happen.
NOTES = "ECHO_NOTES"

_spent: set[str] = set()
_lock = threading.Lock()


def message(word: str, fault: str = "", name: str = "") -> str:
    """Return a message that asks for a word, and for something to fail."""
    return f"Please say {word}." + (f" !{fault}:{name or word}!" if fault else "")


def reply(word: str) -> str:
    """Return what is answered to it."""
    return f"You asked for {word}, and {word} it is."


def word_in(text: str) -> str:
    """Return the word that was asked for last."""
    return str((SAY.findall(text) or ["nothing"])[-1])


def note(fault: str) -> None:
    """Note that a fault happens now."""
    if file := os.environ.get(NOTES):
        with Path(file).open("a") as notes:
            notes.write(f"{fault}\n")


def due(text: str, *names: str) -> str:
    """Return which of these the text asks for, if any, and that did not happen yet."""
    with _lock:
        for fault, name in FAULT.findall(text):
            if fault in names and f"{fault}:{name}" not in _spent:
                _spent.add(f"{fault}:{name}")
                return str(fault)
    return ""
