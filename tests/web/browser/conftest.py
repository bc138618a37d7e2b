"""A browser, and somebody who opens the page in it.

Chromium is asked for only when a test is: where there is none, tests.support.tab skips them.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import Serve

if TYPE_CHECKING:
    from tests.support.tab import Browser, BrowserContext, Tab


@pytest.fixture(scope="session")
def driver() -> Iterator[Any]:
    """The one that there can be: its event loop runs as long as it does."""
    from tests.support.tab import playwright

    with playwright.sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="session")
def browser(driver: Any) -> Iterator["Browser"]:
    from tests.support.tab import CHROMIUM, FLAGS

    launched = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    yield launched
    launched.close()


@pytest.fixture(scope="session")
def left(browser: "Browser") -> list["BrowserContext"]:
    """What people have left of whom nothing is there but the cache, which saves half a load."""
    return []


@pytest.fixture
def visit(
    browser: "Browser", left: list["BrowserContext"], serve: Serve
) -> Iterator[Callable[[str], "Tab"]]:
    """Open the page as someone who was never here before."""
    from tests.support.tab import Tab, forget

    contexts = []

    def open_tab(url: str) -> Tab:
        contexts.append(left.pop() if left else browser.new_context())
        return Tab(contexts[-1], url)

    yield open_tab
    for context in contexts:
        forget(context)
    left += contexts
