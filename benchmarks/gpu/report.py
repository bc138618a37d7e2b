"""One JSON object, which is written to a file after each step."""

import json
import time
from pathlib import Path
from typing import Any

FILE = "gpu.json"

#: What came of a step: its figures, or `error` or `skipped` with a line that says why.
Result = dict[str, Any]


class Report:
    """What has been found."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._file = folder / FILE
        self._began = time.monotonic()
        self._settings = settings
        self.steps: dict[str, Result] = {}
        self._seconds: dict[str, float] = {}
        self.save()

    def add(self, name: str, result: Result, seconds: float = 0.0) -> None:
        """Take what came of a step."""
        self.steps[name] = result
        self._seconds[name] = round(seconds, 1)
        self.save()

    def save(self) -> None:
        """Write it down; whoever reads the file meanwhile finds it whole."""
        draft = self._file.with_suffix(".part")
        draft.write_text(json.dumps(self.found(), indent=1), "utf-8")
        draft.replace(self._file)

    def found(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "summary": {
                "right": not self._named("wrong"),
                "wrong": self._named("wrong"),
                "errors": self._named("error"),
                "skipped": self._named("skipped"),
                "seconds": round(time.monotonic() - self._began, 1),
            },
            "settings": self._settings,
            "steps": self.steps,
            "seconds": self._seconds,
        }

    def _named(self, what: str) -> list[str]:
        if what == "wrong":
            return [name for name, result in self.steps.items() if result.get("right") is False]
        return [name for name, result in self.steps.items() if what in result]
