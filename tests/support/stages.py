"""Pages that are served to one test after the other, since each costs half a second."""

from collections.abc import Hashable
from typing import Any

from chat.settings import Settings
from chat.web.page import page
from chat.web.serve import launch
from prompts import PromptFormat
from tests.support.fakes import ScriptedEngine, chat_with
from tests.support.ports import free_port


class Stage:
    """A page with the engine of whichever test it is served to."""

    def __init__(
        self, engine: ScriptedEngine, max_waiting: int, format: PromptFormat | None
    ) -> None:
        self.engine = engine
        self._chat = chat_with(self, max_waiting, format)
        settings = Settings(max_waiting=max_waiting, server_port=free_port())
        self._page = page.build(self._chat, settings)
        self.url = launch(self._page, settings, block=False)
        self.close = self._page.close

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def left(self) -> bool:
        """Whether nobody is answered or waits any more."""
        return self._chat.gate.size == 0


class Stages:
    """All of them, and which are free."""

    def __init__(self) -> None:
        self._free: dict[Hashable, list[Stage]] = {}

    def take(
        self, engine: ScriptedEngine, max_waiting: int, format: PromptFormat | None
    ) -> tuple[list[Stage], Stage]:
        """Return a page for this engine, and the list to put it on when it is free again."""
        fixed = max_waiting, type(format), engine.window, engine.parallel, engine.supports
        free = self._free.setdefault(fixed, [])
        for stage in filter(Stage.left, free):
            free.remove(stage)
            stage.engine = engine
            return free, stage
        return free, Stage(engine, max_waiting, format)

    def close(self) -> None:
        for free in self._free.values():
            for stage in free:
                stage.close()
