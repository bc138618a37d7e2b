"""chat.web.page.gradio_internals: what we rely on and Gradio does not document.

An upgrade of Gradio fails here first.
"""

import asyncio
import inspect
import re
import sys
from datetime import datetime, timedelta
from math import inf
from pathlib import Path
from types import SimpleNamespace

import fastapi
import gradio as gr
import gradio.blocks
import gradio.events
import gradio.http_server
import gradio.networking
import gradio.processing_utils
import gradio.queueing
import gradio.route_utils
import gradio.routes
import gradio.state_holder
import gradio.utils
import httpx
import pytest
import uvicorn
from gradio.context import LocalContext

from benchmarks.client import Tab, config
from chat.core.shares import Account, Limits
from chat.errors import UNREADABLE, BadRequest
from chat.settings import Settings
from chat.web import stubs
from chat.web.page import gradio_internals, page
from chat.web.page.ask import UNREAD
from chat.web.page.gradio_internals import (
    Blocks,
    ChatInterface,
    Unfetched,
    end_sessions,
    served_with,
    take_as_sent,
    update_in_javascript,
    visitor_of,
)
from chat.web.serve import launch
from chat.web.visitors.scope import KEY
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine, chat_with
from tests.support.ports import free_port

ROOT = Path(__file__).parents[3]
FRONT_END = Path(gr.__file__).parent / "templates" / "frontend"


def changed(what: str, where: str = "chat/web/page/gradio_internals.py") -> str:
    return f"Gradio has changed {what}. Look into {where}, and docs/upgrading.md for what breaks."


@pytest.mark.parametrize(
    ("owner", "name", "begins"),
    [
        (gr.ChatInterface, "__init__", "(self, fn, *"),
        (gr.ChatInterface, "_render_header", "(self)"),
        (gr.ChatInterface, "_render_footer", "(self)"),
        (gr.ChatInterface, "_setup_events", "(self)"),
        (gr.Blocks, "process_api", "(self, block_fn, inputs, state="),
        (gr.Blocks, "preprocess_data", "(self, block_fn, inputs, state, "),
        (gr.Chatbot, "preprocess", "(self, payload)"),
        (gr.Chatbot, "postprocess", "(self, value)"),
        (gr.Slider, "preprocess", "(self, payload)"),
        (gr.Textbox, "preprocess", "(self, payload)"),
        (gr.Number, "preprocess", "(self, payload)"),
    ],
)
def test_what_is_overridden_has_its_name_and_its_parameters(
    owner: type, name: str, begins: str
) -> None:
    what = f"{owner.__name__}.{name}"
    assert hasattr(owner, name), changed(what)
    found = inspect.signature(getattr(owner, name))
    parameters = [
        one.replace(annotation=inspect.Parameter.empty) for one in found.parameters.values()
    ]
    bare = str(found.replace(parameters=parameters, return_annotation=inspect.Signature.empty))
    assert bare.startswith(begins), changed(what)


class Recorded(ChatInterface):
    """Notes when it is asked for what, and what is there by then."""

    def add_header(self) -> None:
        self.calls = ["header"]

    def add_chat(self) -> None:
        self.chatbot.render()
        self.textbox.render()
        self.calls.append("chat")

    def add_settings(self) -> None:
        assert self.chatbot.is_rendered
        assert self.textbox.is_rendered
        self.calls.append("settings")

    def add_events(self) -> None:
        self.calls.append("events")


def test_the_chat_is_built_between_our_parts_and_has_no_events_of_its_own() -> None:
    page = Recorded(chatbot=gr.Chatbot(), textbox=gr.Textbox(), examples=["Hello"])
    calls = ["header", "chat", "settings", "events"]
    assert page.calls == calls, changed("how a ChatInterface is built")
    assert page.fns == {}, changed("where a ChatInterface connects its events")
    assert page.chatbot.examples == [{"text": "Hello"}], changed("examples of a ChatInterface")
    kept = [block for block in page.blocks.values() if isinstance(block, gr.BrowserState)]
    assert kept == [], changed("ChatInterface.saved_conversations")


async def test_each_event_goes_through_one_method_where_errors_become_sentences() -> None:
    assert "process_api" in inspect.getsource(gradio.route_utils.call_process_api), changed(
        "route_utils.call_process_api"
    )

    def refuse() -> None:
        raise BadRequest("No.")

    with Blocks() as page:
        gr.Button().click(refuse)
    with pytest.raises(gr.Error, match=r"^'No\.'$") as caught:
        await page.process_api(0, [])
    assert not caught.value.print_exception


async def test_an_event_knows_its_session_and_the_messages_that_wait_for_it() -> None:
    page = Blocks()
    token = LocalContext.request.set(gr.Request(username=None, session_hash="tab"))
    try:
        unread = page.unread()
        assert unread() == 0, changed("Queue.pending_messages_per_session")
        messages: asyncio.Queue[str] = asyncio.Queue()
        messages.put_nowait("update")
        page._queue.pending_messages_per_session["tab"] = messages
        assert unread() == 1, changed("LocalContext.request, or its session_hash")
    finally:
        LocalContext.request.reset(token)


with stubs.unwritten():

    class Changing(gr.Textbox):
        """A component with a preprocess and a postprocess of its own, as chatbot.py has one."""

        is_template = True

        def preprocess(self, payload: str | None) -> str | None:
            return str(payload).lower()

        def postprocess(self, value: str | None) -> str | None:
            return str(value).upper()


async def test_what_components_show_and_give_is_looked_up_in_each_of_them() -> None:
    with Blocks() as page:
        text, slider, told = Changing(), gr.Slider(0, 1), gr.State([])
        take_as_sent(slider)
        event = gr.Button().click(
            lambda *values: (*values, values), [text, slider], [text, slider, told]
        )
    assert isinstance(event, gradio.events.Dependency), changed("events.Dependency")
    state = gradio.blocks.SessionState(page)
    data = (await page.process_api(0, ["Ab", "x"], state))["data"]
    assert state[told._id] == ("ab", "x"), changed("where preprocess is looked up")
    assert data[0] == "AB", changed("where postprocess is looked up")
    assert text.get_block_name() == "textbox", changed("is_template")


def test_an_update_in_javascript_is_what_python_would_send() -> None:
    assert update_in_javascript(visible=False) == '{"__type__": "update", "visible": false}'
    assert gr.update()["__type__"] == "update", changed("how an update is marked")


def test_statistics_and_drawing_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    source = inspect.getsource(gradio.queueing)
    assert "GRADIO_ANALYTICS_CACHE_FREQUENCY" in source, changed("the name of a variable")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with gradio.utils.MatplotlibBackendMananger():  # as around each update
        pass


async def test_whoever_waits_is_not_forgotten_for_sessions_that_were_invented() -> None:
    queue = Blocks()._queue
    assert isinstance(queue.pending_messages_per_session, Unfetched), changed("Queue")
    kept = Unfetched(queue, most=3)
    queue.pending_messages_per_session = kept
    queue.event_ids_to_events["running"] = queue.event_ids_to_events["waiting"] = None
    for session, event in [("one", "running"), ("two", "over"), ("three", "waiting")]:
        kept[session] = asyncio.Queue()
        queue.pending_event_ids_session[session] = {event}
    for number in range(10):
        kept[f"invented {number}"] = asyncio.Queue()
    assert [*kept] == ["one", "three", "invented 9"]
    assert "two" not in queue.pending_event_ids_session


async def test_the_queue_takes_what_a_page_would_send_and_no_more_than_is_fetched() -> None:
    with Blocks() as page:
        gr.Button().click(lambda: None)
        gr.Button().click(lambda: None, queue=False)
    queued, at_once = page.fns
    unread: asyncio.Queue[int] = asyncio.Queue()
    for number in range(UNREAD + 1):
        unread.put_nowait(number)
    page._queue.pending_messages_per_session["asleep"] = unread
    for session, event, kind in [
        ("tab", at_once, "error"),
        ("t" * 65, queued, "error"),
        ("asleep", queued, "queue_full"),
    ]:
        body = SimpleNamespace(session_hash=session, fn_index=event)
        assert (await page._queue.push(body, request=None, username=None))[::2] == (False, kind)
    assert len(page._queue) == 0
    source = inspect.getsource(gradio.routes)
    assert "await blocks._queue.push(" in source, changed("Queue.push")


def test_whose_reply_is_written_is_not_forgotten_for_sessions_that_were_invented() -> None:
    gradio_internals.keep_no_values()
    holder, page = gradio.state_holder.StateHolder(), Blocks()
    holder.set_blocks(page)
    holder.capacity = 4
    holder["answered"].state_data[1] = SimpleNamespace(lasts=True)
    page._queue.pending_messages_per_session["waiting"] = asyncio.Queue()
    page._queue.pending_event_ids_session["waiting"] = {"event"}
    page._queue.event_ids_to_events["event"] = None
    assert holder["waiting"] is holder["waiting"]
    for number in range(10):
        holder[f"invented {number}"].state_data[1] = SimpleNamespace(lasts=False)
    assert {"answered", "waiting", "invented 9"} <= {*holder.session_data}
    assert len(holder.session_data) == len(holder.time_last_used) == 4


FILE = {"path": "https://elsewhere.test/a", "meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize("sent", [FILE, [FILE], {"a": [{"b": FILE}]}, [["x", {"c": [FILE]}]]])
def test_no_file_that_is_named_is_fetched(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, sent: object
) -> None:
    fetched: list[object] = []

    async def fetch(*asked: object, **_: object) -> object:
        fetched.append(asked)
        return asked[0]

    name = "async_move_files_to_cache"
    assert hasattr(gradio.processing_utils, name), changed(f"processing_utils.{name}")
    url = serve(ScriptedEngine())
    monkeypatch.setattr(gradio.processing_utils, name, fetch)
    answer = httpx.post(f"{url}gradio_api/run/saved_rename", json={"data": [sent]})
    assert (answer.status_code, answer.json()["error"]) == (400, UNREADABLE)
    assert fetched == []
    httpx.post(f"{url}gradio_api/run/saved_rename", json={"data": [["Title"]]})
    assert fetched, changed("where files are fetched")


def test_of_sessions_that_wait_for_nothing_the_one_used_least_lately_goes() -> None:
    kept = Unfetched(Blocks()._queue, most=2)
    kept["one"], kept["two"] = "first", "second"
    assert kept["one"] == "first"
    kept["three"] = "third"
    assert [*kept] == ["one", "three"]


async def test_a_session_whose_browser_is_gone_ends_nothing_for_others() -> None:
    queue = Blocks()._queue
    kept = queue.pending_messages_per_session
    kept["gone"] = asyncio.Queue()
    del kept["gone"]
    del kept["gone"]  # by its other connection
    kept["gone"].put_nowait("what nobody fetches")
    assert "gone" not in kept


def test_gradio_keeps_what_waits_where_we_look_for_it() -> None:
    source = inspect.getsource(gradio.queueing.Queue)
    for used in (
        "self.event_ids_to_events[event._id] = event",
        "self.event_ids_to_events.pop(event._id, None)",
        "self.pending_event_ids_session[body.session_hash].add(event._id)",
        "messages = self.pending_messages_per_session[event.session_hash]",
    ):
        assert used in source, changed("the queue of events")


def test_uvicorn_can_be_told_more_than_gradio_tells_it() -> None:
    source = inspect.getsource(gradio.http_server.start_server)
    assert "uvicorn.Config(" in source, changed("how it makes its server")
    assert "s.bind((LOCALHOST_NAME, port))" in source, changed("how it looks for a port")
    probed = gradio.http_server.LOCALHOST_NAME
    with served_with(port=1, h11_max_incomplete_event_size=1234):
        assert gradio.http_server.LOCALHOST_NAME == "127.0.0.1"
        config = gradio.http_server.uvicorn.Config(app=None, port=7)
    assert (config.h11_max_incomplete_event_size, config.port) == (1234, 7)
    assert gradio.http_server.uvicorn is uvicorn
    assert probed == gradio.http_server.LOCALHOST_NAME


async def test_logins_are_kept_by_their_tokens_where_they_can_be_ended() -> None:
    app = gradio.routes.App()
    assert app.tokens == {}, changed("App.tokens")
    page = SimpleNamespace(app=app)
    app.tokens["token"] = "ann"
    end_sessions(page, 60)
    assert app.tokens.get("token") == "ann"
    assert "app.tokens.get(token)" in inspect.getsource(gradio.routes), changed("App.tokens")


def test_an_event_knows_its_visitor() -> None:
    account = Account("one", Limits(1, 2, 3))
    request = fastapi.Request({"type": "http", "headers": [], KEY: (account,)})
    assert visitor_of(gr.Request(request)) == (account,), changed("Request.request")
    logged_in = visitor_of(gr.Request(request, username="ann"))
    assert logged_in == (account._replace(name="login:ann"),), changed("Request.username")
    assert visitor_of(gr.Request()) == ()


def test_its_root_can_be_said_to_be_where_the_browser_has_it() -> None:
    where = "chat/web/reverse_proxy.py"
    headers = [(b"host", b"a"), (b"x-gradio-server", b".")]
    scope = {"type": "http", "scheme": "http", "path": "/", "query_string": b"", "headers": headers}
    request = fastapi.Request(scope)
    assert gradio.route_utils.get_root_url(request, "/", "") == ".", changed(
        "the header that its root is taken from", where
    )


def test_the_browser_finds_the_addresses() -> None:
    where = "chat/web/page/panel/gradio.js"
    for template in ("index.html", "share.html"):
        assert "window.gradio_config =" in (FRONT_END / template).read_text(), changed(
            "window.gradio_config", where
        )
    assert gr.Blocks().get_config_file()["api_prefix"] == "/gradio_api", changed(
        "the prefix of its API", "chat/web/guard.py"
    )


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("gradio-container", "chat/web/page/panel/gradio.js"),
        ("thought-group", "chat/web/page/theme.js"),
        ("sidebar", "chat/web/page/panel/gradio.js"),
        ("toggle-button", "chat/web/page/panel/gradio.js"),
        ("sidebar-content", "chat/web/page/panel/panel.css"),
        ("icon-button", "chat/web/page/panel/panel.css"),
        ("icon-button-wrapper", "chat/web/page/panel/panel.css"),
        ("message-buttons", "chat/web/page/panel/tools.js"),
        ("message-row", "chat/web/page/panel/tools.js"),
        ("submit-button", "chat/web/page/panel/typing.js"),
        ("slider_input_container", "chat/web/page/rtl.css"),
        ("examples", "chat/web/page/theme.py"),
        ("max_value", "chat/web/page/theme.py"),
        ("message", "chat/web/page/theme.py"),
        ("min_value", "chat/web/page/theme.py"),
        ("subdued", "chat/web/page/theme.py"),
        ("token", "chat/web/page/theme.py"),
    ],
)
def test_its_page_has_the_classes_that_ours_names(name: str, where: str) -> None:
    styles = (file.read_text("utf-8") for file in (FRONT_END / "assets").glob("*.css"))
    assert any(f".{name}" in style for style in styles), changed(f"the class {name}", where)


def test_it_says_that_the_connection_is_lost_in_words_that_ours_knows() -> None:
    where = "chat/web/page/panel/gradio.js"
    ours = (ROOT / where).read_text("utf-8")
    words = re.search('CONNECTION_LOST = "(.*)"', ours)[1]
    scripts = (file.read_text("utf-8") for file in (FRONT_END / "assets").glob("*.js"))
    assert any(f"{words}. Attempting" in script for script in scripts), changed("its words", where)


async def test_an_event_knows_its_login() -> None:
    page = Blocks()
    assert page.login() is None
    token = LocalContext.request.set(gr.Request(username="me", session_hash="tab"))
    try:
        assert page.login() == "me", changed("LocalContext.request, or its username")
    finally:
        LocalContext.request.reset(token)


def test_a_page_that_answers_slowly_at_first_is_served_all_the_same(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradio.networking, "url_ok", lambda url: False)
    url = serve(ScriptedEngine())
    assert httpx.get(f"{url}health").status_code == 200, changed("Blocks.launch's _frontend")


async def test_a_session_holds_one_turn_and_once_it_is_closed_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gradio_internals, "CLOSED", 0.5)
    chosen = Settings(server_port=free_port(), keep_seconds=0)
    built = page.build(chat_with(ScriptedEngine(lambda _: "Drops.")), chosen)
    url = launch(built, chosen, block=False)
    try:
        tab = Tab(url, await config(url))
        await tab.open()
        for _ in range(3):
            await tab.send("Umbrellas?")
        assert "Drops." in str(tab.history)
        sessions = built.app.state_holder.session_data
        (held,) = (one for one in sessions.values() if "Umbrellas" in str(one.state_data))
        assert set(held.blocks_config.blocks) == set(built.blocks), changed("Block._id")
        assert held.config_values == {}, changed("SessionState.config_values")
        tab.close()
        async with asyncio.timeout(20):
            while any(one.state_data for one in sessions.values()):
                await asyncio.sleep(0.1)
    finally:
        built.close()


@pytest.mark.parametrize(("lasts", "kept"), [(True, inf), (False, gradio_internals.CLOSED)])
def test_a_closed_session_is_kept_as_long_as_its_reply_lasts(lasts: bool, kept: float) -> None:
    with Blocks() as built:
        turn = gr.State()
    gradio_internals.keep_no_values()
    state = gradio.blocks.SessionState(built)
    state[turn._id] = SimpleNamespace(lasts=lasts)
    state.is_closed = True
    state._state_ttl[turn._id] = 0, datetime.now() - timedelta(days=1)
    assert kept == state.STATE_TTL_WHEN_CLOSED
    ((_, _, expired),) = state.state_components
    assert expired is not lasts, changed("SessionState.state_components")
