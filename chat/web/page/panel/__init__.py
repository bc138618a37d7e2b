"""The side panel: the conversations that a page saves in its browser.

All that a visitor does with them happens in the browser, whose storage keeps them: a
public link keeps nothing of its visitors' on the server, and nobody sees another's. The
browser asks the server only to seal and to open (see `saved`), one conversation at a
time, or to search them so many that an answer has a limit, so no request grows with how
many there are; but files to import go as they are, since the server reads what other
programs write.

    gradio.js      what the panel needs of Gradio's page
    storage.js     what lies in the browser's storage, and asking the server
    versions.js    what a conversation forks into
    screen.js      which conversation is on the screen, and when it is saved
    files.js       export and import
    groups.js      what is pinned, and the rest by day and month
    search.js      which of them some words are found in
    box.js         the search box
    list.js        what is seen of all that
    tools.js       what can be done with each message
    attach.js      files that come with a message
    typing.js      what is typed, and what Enter does
    about.js       how a reply was made, and how full the model's window is

`gr.BrowserState` is not used: it hands its key to every browser, writes all that it
holds at once, so that two tabs overwrite each other's, and is silent when that fails.
"""

from collections.abc import Callable
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import gradio as gr

from chat.core import title
from chat.core.export import Branch
from chat.core.fitting import KEPT
from chat.core.sampling import Sampling
from chat.errors import BadRequest
from chat.settings.page import PageSettings
from chat.web.page.attach import Attach
from chat.web.page.feedback import Feedback
from chat.web.page.gradio_internals import Event
from chat.web.page.javascript import script
from chat.web.page.panel.saved import (
    LARGEST_IMPORT,
    LARGEST_SEARCH,
    LARGEST_SETTLE,
    MOST_CONVERSATIONS,
    SavedConversations,
)
from chat.web.page.running import Running
from chat.web.page.theme import FOCUS

_HERE = Path(__file__).parent
#: They are one function, which Gradio calls with the `element` and with `trigger`.
SCRIPTS = tuple(
    f"{name}.js"
    for name in (
        *("gradio", "storage", "versions", "screen", "files", "groups", "search", "box"),
        *("about", "tools", "list", "attach", "typing"),
    )
)
#: What the browser may ask, and what it is called as an endpoint.
ENDPOINTS = {
    question: f"saved_{question}"
    for question in (
        *("seal", "rename", "title", "names", "open", "texts"),
        *("export", "markdown", "import", "running", "attach", "rate"),
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


#: Before a message is sent, as JavaScript: what comes with it is put before it.
SENDS = "(message, history) => [window.conversations?.send(message) ?? message, history]"


#: Before an edited message is sent, as JavaScript: it is kept.
EDITS = "(history) => (window.conversations?.edit(history), [history])"

#: Before a conversation is cleared: what has come of a reply is the panel's to keep.
CLEARS = """(turn, live, system) =>
    (window.conversations?.clear(live, system), [turn, [], system])"""
#: What the server is told in place of a reply's token when a turn ends for the second time, and
#: another has begun.
LATE = "late"
#: And where the conversation is too long to be sent as well.
UNSENT = "unsent"


def settles(ended: str) -> str:
    """Return what is to be done before the end of a turn is shown, as JavaScript.

    `ended` is "success" or "failure". Of a long conversation only the turn is sent.
    """
    return (
        "(turn, said, live, typed, told) => "
        f"[turn, ...(window.conversations?.settle('{ended}', said, live, typed, told) "
        "?? [said, live, typed, told])]"
    )


def before(what: str) -> str:
    """Return what an event of the page is to do here before it begins, as JavaScript.

    Without the panel it does nothing, and the chat goes on.
    """
    return f"(...values) => (window.conversations?.{what}(), values)"


class Panel:
    """The list, in a side bar of the page."""

    def __init__(self, system_prompt: gr.components.Component, settings: PageSettings) -> None:
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
                    LARGEST_SETTLE=LARGEST_SETTLE,
                    KEPT_TOKENS=KEPT,
                    LATE=LATE,
                    UNSENT=UNSENT,
                    CONTROLS={name: one.title for name, one in Sampling.model_fields.items()},
                    SYSTEM_PROMPT=system_prompt.value,
                    TITLES=settings.titles,
                    RATED=settings.feedback is not None,
                    TOUCH_ENTER=settings.touch_enter,
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
        attach: Attach,
        feedback: Feedback | None,
        chatbot: gr.Chatbot,
        live: gr.Chatbot,
        others: dict[gr.components.Component, str],
    ) -> None:
        """Answer what the panel asks, and have what it opens shown in `chatbot`.

        `others` says, as JavaScript, what other components are to show then.
        """

        def open(owner: str | None, text: str) -> Any:
            return _as_shown(saved.open(owner, text), chatbot)

        answers: dict[str, Callable[..., Any]] = {
            "seal": saved.seal,
            "rename": saved.rename,
            "title": saved.title,
            "names": saved.names,
            "open": open,
            "texts": saved.texts,
            "export": saved.export,
            "markdown": saved.markdown,
            "import": saved.import_files,
            "running": running.line,
            "attach": attach.read,
            **({"rate": feedback.add} if feedback else {}),
        }
        for question, answer in answers.items():
            gr.api(
                _for_login(answer),
                api_name=ENDPOINTS[question],
                api_visibility="private",
                queue=False,
            )
        shown = self._html.show(
            None,
            [self._system_prompt],
            [chatbot, self._system_prompt, *others],
            js="(system) => [window.conversations?.shown(), "
            f"window.conversations?.system(system), {', '.join(others.values())}]",
            api_visibility="private",
        )
        self.after(shown, "showed", chatbot, live)
        shown.then(None, js=FOCUS, api_visibility="private")


def _as_shown(branch: Branch, chatbot: gr.Chatbot) -> dict[str, Any]:
    """Return a conversation as the browser has it, but for a system prompt, which is as it is."""
    messages = [entry.message.entry for entry in branch.messages]
    start = int(messages[:1] != [] and messages[0]["role"] == "system")
    shown = [*messages[:start], *chatbot.postprocess(messages[start:]).model_dump()]
    versions = [
        {"at": fork.at, "ways": [way and _as_shown(way, chatbot) for way in fork.ways]}
        for fork in branch.versions
    ]
    made = [entry.made and entry.made.model_dump() for entry in branch.messages[start:]]
    return {"messages": shown, "made": made, "versions": versions}


def _for_login(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Return what answers whoever is logged in."""

    def answer_login(values: list[Any], request: gr.Request) -> Any:
        return answer(_login(request), *values)

    async def answer_in_time(values: list[Any], request: gr.Request) -> Any:
        return await answer(_login(request), *values)

    return answer_in_time if iscoroutinefunction(answer) else answer_login


def _login(request: gr.Request) -> str | None:
    """Return who is logged in.

    Raises:
        BadRequest: somebody else was when the page was loaded, whose conversations it shows.
    """
    login: str | None = request.username
    theirs = request.headers.get("x-login")
    if theirs is not None and unquote(theirs) != (login or ""):
        raise BadRequest("Somebody else has logged in here meanwhile. Please reload the page.")
    return login
