"""The side panel: the conversations that a page saves in its browser.

All that a visitor does with them happens in the browser, whose storage keeps them: a
public link keeps nothing of its visitors' on the server, and nobody sees another's. The
browser asks the server only to seal and to open (see `saved`), one conversation at a
time, so no request grows with how many there are.

    storage.js     what lies in the browser's storage, and asking the server
    screen.js      which conversation is on the screen, and when it is saved
    files.js       export and import
    list.js        what is seen

`gr.BrowserState` is not used: it hands its key to every browser, writes all that it
holds at once, so that two tabs overwrite each other's, and is silent when that fails.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

from chat.errors import ChatError
from chat.web.page.panel.saved import Saved
from chat.web.page.theme import FOCUS

_HERE = Path(__file__).parent
#: They are one function, which Gradio calls with the `element` and with `trigger`.
SCRIPTS = ("storage.js", "screen.js", "files.js", "list.js")
HTML = """
<div class="first"><button value="new">New chat</button></div>
<nav aria-label="Saved conversations"><ul></ul></nav>
<p class="hint">Your conversations will be listed here. They are kept in this browser only.</p>
<div class="last">
    <button value="import">Import</button>
    <button value="export">Export all</button>
    <input type="file" accept=".json,application/json" hidden>
</div>
"""


def before(what: str) -> str:
    """Return what an event of the page is to do here before it begins, as JavaScript.

    Without the panel it does nothing, and the chat goes on.
    """
    return f"(...values) => (window.conversations?.{what}(), values)"


class Panel:
    """The list, in a side bar of the page."""

    def __init__(self) -> None:
        with gr.Sidebar(open=False, width=300, elem_id="panel"):
            self._html = gr.HTML(
                html_template=HTML,
                js_on_load="\n".join((_HERE / name).read_text("utf-8") for name in SCRIPTS),
                head=f"<style>{(_HERE / 'look.css').read_text('utf-8')}</style>",
                apply_default_css=False,
            )

    def after(self, event: Dependency, what: str, chatbot: gr.Chatbot) -> None:
        """Have the panel do this when the event is over."""
        js = f"(history) => window.conversations?.{what}(history)"
        event.then(None, [chatbot], js=js, api_visibility="private")
        event.failure(None, js=js, api_visibility="private")

    def connect(
        self, saved: Saved, chatbot: gr.Chatbot, others: dict[gr.components.Component, str]
    ) -> None:
        """Answer what the panel asks, and have what it opens shown in `chatbot`.

        `others` says, as JavaScript, what other components are to show then.
        """

        def opened(owner: str | None, text: str) -> Any:
            history = [message._asdict() for message in saved.open(owner, text)]
            return chatbot.postprocess(history).model_dump()

        for ask in (saved.seal, saved.rename, saved.names, opened, saved.export, saved.load):
            gr.api(
                _said(ask),
                api_name=f"saved_{ask.__name__}",
                api_visibility="private",
                queue=False,
            )
        self._html.show(
            None,
            None,
            [chatbot, *others],
            js=f"() => [conversations.shown(), {', '.join(others.values())}]",
            api_visibility="private",
        ).then(None, js=FOCUS, api_visibility="private")


def _said(ask: Callable[..., Any]) -> Callable[..., Any]:
    """Return `ask` for whoever is logged in, with its errors as the page shows them."""

    def said(values: list, request: gr.Request) -> dict:  # type: ignore[type-arg]
        try:
            return ask(request.username, *values)  # type: ignore[no-any-return]
        except ChatError as error:
            raise gr.Error(str(error), print_exception=False) from None

    return said
