"""Who opens the page in a test was never here before."""

from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine
from tests.support.tab import Visit, echo, expect, forget


def test_nothing_is_left_of_whoever_was_here_before(serve: Serve, visit: Visit) -> None:
    tab = visit(serve(ScriptedEngine(echo)))
    tab.ask("Hi")
    expect(tab.page.locator("#panel li")).to_have_count(1)
    context = tab.page.context
    context.add_cookies([{"name": "a", "value": "b", "url": tab.page.url}])
    url = tab.page.url
    forget(context)
    assert context.cookies() == []
    page = context.new_page()
    page.goto(f"{url}health")
    assert page.evaluate("[...Object.keys(localStorage), ...Object.keys(sessionStorage)]") == []


def test_what_a_page_asks_other_hosts_for_is_noted_and_does_not_get_there(
    serve: Serve, visit: Visit
) -> None:
    tab = visit(serve(ScriptedEngine(echo)))
    tab.page.goto("about:blank")  # where the page's own policy does not refuse it first
    hosts = ["https://example.com/", "http://192.0.2.1/", "http://127.0.0.1:1/"]
    asking = "(url) => fetch(url, {mode: 'no-cors'}).then(() => true, () => false)"
    assert not any(tab.page.evaluate(asking, host) for host in hosts)
    assert tab.elsewhere == hosts
