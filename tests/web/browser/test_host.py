"""What the host calls the page and says on it."""

import pytest
from playwright.sync_api import expect

from prompts import PromptFormat
from prompts.formats.plain import Plain
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine
from tests.support.tab import Visit

TITLE = "Ann & Bob's <b>model</b> *1*"
WELCOME = "## Hello\n\nAsk about **boats**. <img src=x onerror=document.title='hacked'>"


@pytest.mark.parametrize("format", [None, Plain()], ids=["chat", "base model"])
def test_the_title_is_the_hosts_and_no_html(
    serve: Serve, visit: Visit, format: PromptFormat | None
) -> None:
    tab = visit(serve(ScriptedEngine(), format=format, title=TITLE))
    expect(tab.page.get_by_role("heading", level=1)).to_have_text(TITLE)
    expect(tab.page).to_have_title(TITLE)


def test_an_empty_conversation_says_what_the_host_says(serve: Serve, visit: Visit) -> None:
    tab = visit(serve(ScriptedEngine(), welcome=WELCOME))
    log = tab.page.get_by_role("log")
    expect(log.get_by_role("heading", name="Hello")).to_be_visible()
    expect(log.locator("strong")).to_have_text("boats")
    expect(tab.page).to_have_title("Fourbit Chat")
    tab.ask("Hi")
    expect(log.get_by_role("heading", name="Hello")).to_have_count(0)
