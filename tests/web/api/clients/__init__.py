"""Clients that people use, each against a real server, mostly around a scripted engine."""

import importlib
from importlib.util import find_spec
from typing import Any

import pytest

from tests.support.fakes import ScriptedEngine

HI: Any = [{"role": "user", "content": "hi"}]
#: The address of a server's API, which asks for the key "secret", and its engine.
Server = tuple[str, ScriptedEngine]


class Later:
    """A module that is imported when it is used, since to collect the tests that takes seconds."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # what pytest looks for in everything that a module has
            raise AttributeError(name)
        return getattr(importlib.import_module(self._name), name)


def needed(package: str) -> Any:
    """Return a client's package, or skip what needs it where CONTRIBUTING.md's clients are not."""
    if find_spec(package.partition(".")[0]) is None:
        pytest.skip(f"{package} is not installed, see CONTRIBUTING.md", allow_module_level=True)
    return Later(package)
