"""What came of one try, and what must not come of any."""

import re
from collections.abc import Collection
from typing import NamedTuple

from chat.engines.watchdog import slowed

#: Seconds after which somebody who gets no reply is told so, on a machine that has nothing else to
#: do (see `slowed`), and after which it counts as hung.
SOON, PATIENCE = 2.0, 15.0
#: What somebody may see of a fault: that there is no reply, or that it goes on; or either.
SAID, GOES_ON = ("a sentence",), ("the whole reply",)
EITHER = SAID + GOES_ON
NEVER = "it was never injected"
#: What nobody should have to read: a traceback, a path, or the words of a library's error.
UNFIT = re.compile(r'Traceback|File "|\.py\b|Error\b|cannot (encode|write|begin|go on|end)|what a ')
SENTENCE = re.compile(r"[A-Z“].*[.…]", re.S)


class Tried(NamedTuple):
    """What came of one."""

    #: The longest time for which nothing was seen.
    seconds: float
    #: In a word or two: what was seen in the end.
    seen: str
    #: What was not as promised.
    wrong: list[str]


class Seen(NamedTuple):
    """What somebody saw of a reply."""

    text: str
    #: What was said in place of it, or after a part of it.
    sentences: list[str]
    #: The longest time for which nothing changed, from the message to the end, in seconds.
    seconds: float
    #: Whether what was written is still there: in the conversation, or as a draft.
    kept: bool = True


def judged(seen: Seen | None, whole: str) -> Tried:
    """Return what is to be said of a reply that would have been `whole`; None if it hung."""
    if seen is None:
        return Tried(PATIENCE, "nothing", ["it hung"])
    wrong = [] if seen.kept else ["what was written is lost"]
    if any(map(UNFIT.search, [seen.text, *seen.sentences])):
        wrong.append("a traceback, or a library's words")
    if seen.text == whole:
        return Tried(seen.seconds, "the whole reply", wrong)
    if not any(map(SENTENCE.fullmatch, seen.sentences)):
        return Tried(
            seen.seconds, "no sentence", [*wrong, "there was neither a reply nor a sentence"]
        )
    if seen.seconds > slowed(SOON):
        wrong.append(f"a sentence came after more than {SOON:.0f} s")
    return Tried(seen.seconds, "a sentence", wrong)


def meant(tried: Tried, allowed: Collection[str], *, happened: bool) -> Tried:
    """Return the same, as a fault's that had to happen, and to be seen as one of these."""
    wrong = list(tried.wrong)
    if not happened:
        wrong.append(NEVER)
    if tried.seen not in allowed and not wrong:
        wrong.append(f"{tried.seen} was seen of it")
    return tried._replace(wrong=wrong)
