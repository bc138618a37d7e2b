"""Where a reply ends: after the first stop id, and before the first stop string.

A string is found wherever its tokens are cut.
"""

from collections.abc import Sequence

from prompts.letters import held_back


class Stops:
    """Looks for stop strings in a text that grows, and holds back what may become one."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = strings
        #: The one that was found, or "".
        self.by = ""

    @property
    def found(self) -> bool:
        """Whether one was found."""
        return bool(self.by)

    def cut(self, text: str, *, finished: bool = False) -> str:
        """Return what of `text`, the whole so far, can be shown; sets `by`.

        If it is `finished`, nothing becomes one any more.
        """
        places = [(text.find(string), string) for string in self._strings if string in text]
        if places:
            place, self.by = min(places)
            return text[:place]
        if finished:
            return text
        return text[: len(text) - max((held_back(text, one) for one in self._strings), default=0)]
