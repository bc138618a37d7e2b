"""Proxies that the environment names, such as HTTP_PROXY, are for what goes out to others.

Gradio makes clients of httpx when it is imported, and calls its own page with one at the
start. These read the environment, so that a proxy that is dead, or written in a way that
httpx does not know, would end the start. Models are fetched with httpx2 and pip, which go
on using the proxies as they are set.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Lock
from typing import Any

from chat.web import stubs

_ONE_AT_A_TIME = Lock()


@contextmanager
def ignored() -> Iterator[None]:
    """Have httpx find no proxies in the environment until the block ends."""
    # Not by a variable, which whoever fetches a model at the same time would see too.
    reader: Any = import_module("httpx._utils")
    with _ONE_AT_A_TIME:
        found = reader.getproxies
        reader.getproxies = dict
        try:
            yield
        finally:
            reader.getproxies = found


def import_gradio() -> None:
    """Import Gradio, whatever proxies there are."""
    with ignored(), stubs.unwritten():
        import_module("gradio")


def import_page() -> None:
    """Import Gradio, and then what the page is made and served with."""
    import_gradio()
    import_module("chat.web.serve")
