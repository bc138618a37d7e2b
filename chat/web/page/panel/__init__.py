"""The side panel: the conversations that a page saves in its browser.

All that a visitor does with them happens in the browser, whose storage keeps them: a
public link keeps nothing of its visitors' on the server, and nobody sees another's. The
browser asks the server only to seal and to open (see `saved`), one conversation at a
time, or to search them so many that an answer has a limit, so no request grows with how
many there are; but files to import go as they are, since the server reads what other
programs write.

    gradio.js      what the panel needs of Gradio's page
    storage.js     what lies in the browser's storage, and asking the server
    screen.js      which conversation is on the screen, and when it is saved
    files.js       export and import
    groups.js      what is pinned, and the rest by day and month
    search.js      which of them some words are found in
    box.js         the search box
    list.js        what is seen

`gr.BrowserState` is not used: it hands its key to every browser, writes all that it
holds at once, so that two tabs overwrite each other's, and is silent when that fails.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from chat.core import title
from chat.web.page.gradio_internals import Event
from chat.web.page.javascript import script
from chat.web.page.panel.saved import (
    LARGEST_IMPORT,
    LARGEST_SEARCH,
    MOST_CONVERSATIONS,
    SavedConversations,
)
from chat.web.page.running import Running
from chat.web.page.theme import FOCUS

_HERE = Path(__file__).parent
#: They are one function, which Gradio calls with the `element` and with `trigger`.
SCRIPTS = tuple(
    f"{name}.js"
    for name in ("gradio", "storage", "screen", "files", "groups", "search", "box", "list")
)
#: What the browser may ask, and what it is called as an endpoint.
ENDPOINTS = {
    question: f"saved_{question}"
    for question in (
        *("seal", "rename", "names", "open", "texts"),
        *("export", "markdown", "import", "running"),
    )
}
HTML = """
<div class="first">
    <button value="new">New chat</button>
    <input type="search" aria-label="Search conversations" placeholder="Search" maxlength="200"
        autocomplete="off" hidden>
    <p class="count" role="status"></p>
</div>
<nav aria-label="Saved conversations" class="list"></nav>
<p class="hint">Your conversations will be listed here. They are kept in this browser only.</p>
<div class="last">
    <button value="import">Import</button>
    <button value="export">Export all</button>
    <input type="file" multiple hidden>
</div>
"""


def before(what: str) -> str:
    """Return what an event of the page is to do here before it begins, as JavaScript.

    Without the panel it does nothing, and the chat goes on.
    """
    return f"(...values) => (window.conversations?.{what}(), values)"


class Panel:
    """The list, in a side bar of the page."""

    def __init__(self, system_prompt: gr.components.Component) -> None:
        self._system_prompt = system_prompt
        with gr.Sidebar(open=False, width=320, elem_id="panel"):
            self._html = gr.HTML(
                html_template=HTML,
                js_on_load=script(
                    _HERE,
                    *SCRIPTS,
                    ENDPOINTS=ENDPOINTS,
                    MOST_CONVERSATIONS=MOST_CONVERSATIONS,
                    LONGEST_TITLE=title.LONGEST,
                    LARGEST_IMPORT=LARGEST_IMPORT,
                    LARGEST_SEARCH=LARGEST_SEARCH,
                    SYSTEM_PROMPT=system_prompt.value,
                ),
                head=f"<style>{(_HERE / 'panel.css').read_text('utf-8')}</style>",
                apply_default_css=False,
            )

    def after(
        self,
        event: Event,
        what: str,
        chatbot: gr.Chatbot,
        live: gr.Chatbot,
        *more: gr.components.Component,
    ) -> None:
        """Have the panel do this when the event is over; `more` is what else it is told.

        What is said is that in both chatbots, one after the other.
        """
        js = (
            "(said, live, ...values) => "
            f"window.conversations?.{what}(said && [...said, ...live], ...values)"
        )
        told = [chatbot, live, self._system_prompt, *more]
        event.then(None, told, js=js, api_visibility="private")
        event.failure(None, js=js, api_visibility="private")

    def comes_back(self, *event: Any, **more: Any) -> Event:
        """Connect what happens, with a token, when a conversation is opened that has one."""
        js = "() => [window.conversations?.come_back()]"
        found: Event = self._html.come_back(*event, js=js, **more)
        return found

    def connect(
        self,
        saved: SavedConversations,
        running: Running,
        chatbot: gr.Chatbot,
        others: dict[gr.components.Component, str],
    ) -> None:
        """Answer what the panel asks, and have what it opens shown in `chatbot`.

        `others` says, as JavaScript, what other components are to show then.
        """

        def open(owner: str | None, text: str) -> Any:
            messages = [message.entry for message in saved.open(owner, text)]
            start = int(messages[0]["role"] == "system")
            return [*messages[:start], *chatbot.postprocess(messages[start:]).model_dump()]

        answers: dict[str, Callable[..., Any]] = {
            "seal": saved.seal,
            "rename": saved.rename,
            "names": saved.names,
            "open": open,
            "texts": saved.texts,
            "export": saved.export,
            "markdown": saved.markdown,
            "import": saved.import_files,
            "running": running.line,
        }
        for question, endpoint in ENDPOINTS.items():
            gr.api(
                _for_login(answers[question]),
                api_name=endpoint,
                api_visibility="private",
                queue=False,
            )
        self._html.show(
            None,
            [self._system_prompt],
            [chatbot, self._system_prompt, *others],
            js="(system) => [window.conversations?.shown(), "
            f"window.conversations?.system(system), {', '.join(others.values())}]",
            api_visibility="private",
        ).then(None, js=FOCUS, api_visibility="private")


def _for_login(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Return what answers whoever is logged in."""

    def answer_login(values: list[Any], request: gr.Request) -> Any:
        return answer(request.username, *values)

    return answer_login
