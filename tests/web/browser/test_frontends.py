"""Two pages behind a real HAProxy, as people see them in Chromium."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.haproxy import haproxy
from tests.support.paged import paged
from tests.support.tab import Tab, expect

LOST = "The reply to the last message was lost. Edit the message to send it again."
SECRET = {"CHAT_CONVERSATIONS_KEY": "the same secret for all of these pages"}


class Pages(NamedTuple):
    url: str
    #: By the name that is in the cookie.
    processes: dict[str, Any]


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    with ExitStack() as running:
        both = [running.enter_context(paged(variables=SECRET)) for _ in range(2)]
        url, _ = running.enter_context(haproxy(tmp_path, pages=[page for page, _ in both]))
        yield Pages(url, {f"page{number}": process for number, (_, process) in enumerate(both, 1)})


def seat(tab: Tab) -> str:
    """Return which page a tab is at."""
    (cookie,) = [one for one in tab.page.context.cookies() if one["name"] == "FOURBIT"]
    return str(cookie["value"])


def move(tab: Tab, url: str, name: str) -> None:
    """Have the tab come back at this page."""
    tab.page.context.clear_cookies()
    tab.page.context.add_cookies([{"name": "FOURBIT", "value": name, "url": url}])
    tab.page.goto(url)
    expect(tab.box).to_be_editable()
    assert seat(tab) == name


def other(name: str) -> str:
    return {"page1": "page2", "page2": "page1"}[name]


def test_a_conversation_that_one_page_saved_goes_on_at_the_other(
    pages: Pages, visit: Callable[[str], Tab]
) -> None:
    tab = visit(pages.url)
    tab.ask("Hi")
    saved = tab.page.locator("#panel li > button")
    expect(saved).to_have_text(["Hi"])
    tab.button("Export all").click()  # which waits until it is saved
    first = seat(tab)
    tab.page.reload()
    tab.says("Hi", "Re: Hi")
    assert seat(tab) == first
    move(tab, pages.url, other(first))
    tab.says("Hi", "Re: Hi")
    tab.new_chat()
    tab.ask("Another")
    saved.get_by_text("Hi").click()
    tab.says("Hi", "Re: Hi")
    tab.ask("More")
    tab.says("Hi", "Re: Hi", "More", "Re: More")
    assert tab.elsewhere == []


def test_who_sits_at_a_page_that_is_killed_loses_one_reply_and_goes_on_at_the_other(
    pages: Pages, visit: Callable[[str], Tab]
) -> None:
    tab, neighbour = visit(pages.url), visit(pages.url)
    move(tab, pages.url, "page1")
    move(neighbour, pages.url, "page2")
    tab.ask("Hi")
    tab.send("Count to 500")
    neighbour.send("Count to 30")
    expect(tab.replies.last).to_contain_text("000000002")
    pages.processes["page1"].kill()
    neighbour.settled("Finished:")
    expect(neighbour.replies.last).to_contain_text("000000030")
    expect(tab.status).to_have_text(LOST)
    tab.says("Hi", "Re: Hi", "Count to 500")
    assert seat(tab) == "page2"
    tab.edit(1, "Count to 3")
    tab.settled("Finished:")
    tab.says("Hi", "Re: Hi", "Count to 3", "000000001 000000002 000000003")
    tab.page.reload()
    tab.says("Hi", "Re: Hi", "Count to 3", "000000001 000000002 000000003")
    neighbour.ask("Still there?")
    expect(neighbour.replies.last).to_have_text("Re: Still there?")
