"""Gradio writes stubs of its components for editors each time it is imported, and of ours.

To do so it reads the source of every one, which takes half of its import, and nobody here
reads them. Where a component has no file, it writes none.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def unwritten() -> Iterator[None]:
    """Have Gradio find no files of components that are made before the block ends."""
    found = inspect.getfile

    def getfile(object: Any) -> str:
        if isinstance(object, type) and hasattr(object, "EVENTS"):  # as components have them
            raise OSError
        return found(object)

    inspect.getfile = getfile
    try:
        yield
    finally:
        inspect.getfile = found
