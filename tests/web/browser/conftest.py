"""A browser, and somebody who opens the page in it.

Chromium is asked for only when a test is: where there is none, tests.support.tab skips them.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import Serve

if TYPE_CHECKING:
    from tests.support.tab import Browser, Tab


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


@pytest.fixture
def visit(browser: "Browser", serve: Serve) -> Iterator[Callable[[str], "Tab"]]:
    """Open the page as someone who was never here before."""
    from tests.support.tab import Tab

    contexts = []

    def open_tab(url: str) -> Tab:
        contexts.append(browser.new_context())
        return Tab(contexts[-1], url)

    yield open_tab
    for context in contexts:
        context.close()
