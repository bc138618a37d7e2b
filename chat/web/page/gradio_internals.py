"""What the pages need of Gradio and Gradio does not document, in one place.

tests/web/page/test_gradio_internals.py pins each name and signature, so that an upgrade
of Gradio fails there first.

The rest of them is outside Python: names of classes in theme.css and panel.css, and
what panel/gradio.js touches; tests/web/browser sees those. chat/web/guard.py has the
addresses that Gradio answers, and app.py keeps it from looking for matplotlib.
"""

import asyncio
import json
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from inspect import Parameter, Signature
from math import inf
from types import SimpleNamespace
from typing import Any, Self

import gradio as gr
import uvicorn
from gradio import http_server
from gradio.context import LocalContext
from gradio.events import Dependency
from gradio.queueing import Queue
from gradio.state_holder import SessionState, StateHolder

from chat.core.shares import Visitor, asking
from chat.errors import UNREADABLE, BadRequest, ChatError, describe
from chat.web.logs import HEADER, request_id
from chat.web.page.ask import UNREAD
from chat.web.visitors import sessions
from chat.web.visitors.scope import KEY, logged_in

#: What connecting an event returns.
Event = Dependency

#: For `launch`, not to ask itself for the page first, and end if that takes 3 seconds.
UNPROBED: dict[str, Any] = {"_frontend": False}

#: Sessions whose browsers may have something left to fetch.
SESSIONS = 2000
#: Letters of a session's name; the page's have eleven.
LONGEST = 64
UNFETCHED = "You are sending too much at once. Please try again in a moment."
#: Seconds after which a session whose browser has gone is let go of.
CLOSED = 900

log = logging.getLogger(__name__)


class Blocks(gr.Blocks):
    """A page that says what goes wrong in one sentence, and knows who has stopped listening."""

    def queue(self, *args: Any, **kwargs: Any) -> Self:
        """Make the queue of events, which forgets nobody whose event is not over."""
        super().queue(*args, **kwargs)
        self._queue.pending_messages_per_session = Unfetched(self._queue)
        self._queue.push = partial(self._push, self._queue.push)
        return self

    async def _push(
        self, push: Callable[..., Any], body: Any, *args: Any, **kwargs: Any
    ) -> tuple[bool, Any, str]:
        """Queue an event, unless no page would, or nobody fetches what has come of earlier ones."""
        session, event = body.session_hash or "", self.fns.get(body.fn_index)
        if len(session) > LONGEST or (event and not event.queue):
            return False, UNREADABLE, "error"
        unread = self._queue.pending_messages_per_session.get(session)
        if unread and unread.qsize() > UNREAD:
            return False, UNFETCHED, "queue_full"
        pushed: tuple[bool, Any, str] = await push(body, *args, **kwargs)
        return pushed

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any
    ) -> list[Any]:
        """Read what was sent for an event: no files, which Gradio would fetch from anywhere."""
        if names_file(inputs):
            raise BadRequest(UNREADABLE)
        return list(await super().preprocess_data(block_fn, inputs, *args, **kwargs))

    def unread(self) -> Callable[[], int]:
        """Return what counts the messages that the client of this event has not fetched yet."""
        waiting = self._queue.pending_messages_per_session
        session = getattr(LocalContext.request.get(None), "session_hash", None)
        return lambda: waiting[session].qsize() if session in waiting else 0

    def login(self) -> str | None:
        """Return who is logged in of those whose event this is."""
        return getattr(LocalContext.request.get(None), "username", None)

    async def process_api(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Handle one event; what cannot even be read gets a sentence, and stays out of the log."""
        # It may run in Gradio's queue, and not in the request that asked for it.
        if asked := kwargs.get("request"):
            request_id.set(asked.headers.get(HEADER, ""))
            asking.set(visitor_of(asked))
        try:
            return dict(await super().process_api(*args, **kwargs))
        except ChatError as error:
            sentence = str(error)
        except Exception as error:
            log.error("%s", describe(error))
            sentence = UNREADABLE
        raise gr.Error(sentence, print_exception=False)


def names_file(value: Any) -> bool:
    """Return whether a file of Gradio's stands anywhere in what was sent."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            if "path" in one and "meta" in one:
                return True
            left += one.values()
        elif isinstance(one, list | tuple):
            left += one
    return False


class Unfetched(OrderedDict[str, Any]):
    """By sessions, what their browsers have not fetched yet; of about so many sessions.

    Gradio's own forgets the oldest session. Anybody can invent new ones: that of somebody who
    waits would go, and the queue would end for all when it next told them of their place.
    """

    def __init__(self, queue: Queue, most: int = SESSIONS) -> None:
        super().__init__()
        self._queue = queue
        self._most = most

    def __setitem__(self, session: str, messages: Any) -> None:
        """Keep it, in the place of the one used least lately that waits for nothing."""
        if session not in self and len(self) >= self._most:
            over = next((one for one in self if not self.waits(one)), None)
            if over is not None:
                del self[over]
                self._queue.pending_event_ids_session.pop(over, None)
        super().__setitem__(session, messages)

    def __getitem__(self, session: str) -> Any:
        """Return it, which is a use; of a session whose browser is gone, for nobody."""
        if session not in self:
            return asyncio.Queue[Any]()
        self.move_to_end(session)
        return super().__getitem__(session)

    def __delitem__(self, session: str) -> None:
        """Forget it, as each of two connections does that fetched it."""
        if session in self:
            super().__delitem__(session)

    def waits(self, session: str) -> bool:
        """Whether an event of a session is not over."""
        events = self._queue.pending_event_ids_session.get(session, ())
        return any(event in self._queue.event_ids_to_events for event in events)


def visitor_of(request: gr.Request) -> Visitor:
    """Return who has asked for an event."""
    scope = request.request.scope if request.request else {}
    return logged_in(scope.get(KEY, ()), request.username)


class ChatInterface(Blocks, gr.ChatInterface):
    """A ChatInterface that leaves to its subclass what stands around the chat, and all events.

    Gradio's own chain of events cannot stop an edited turn, leaves the text box
    locked when one fails, and forgets a message that is refused.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(_unused, **options)

    def add_header(self) -> None:
        """Render what stands before the chat, and beside it."""
        raise NotImplementedError

    def add_chat(self) -> None:
        """Render the `chatbot` and the `textbox`."""
        raise NotImplementedError

    def add_settings(self) -> None:
        """Render what stands after the chat."""
        raise NotImplementedError

    def add_events(self) -> None:
        """Connect the components, which are all there."""
        raise NotImplementedError

    def _render_header(self) -> None:
        # It ends the page where a browser allows no storage.
        self.saved_conversations.unrender()
        self.add_header()

    def _render_chatbot_area(self, chatbot: gr.Chatbot, textbox: gr.Textbox, *_: Any) -> None:
        chatbot.examples = self.examples_messages
        chatbot._setup_examples()
        textbox.show_label = False
        textbox.stop_btn = False
        self.chatbot, self.textbox = chatbot, textbox
        self.add_chat()

    def _render_footer(self) -> None:
        self.add_settings()

    def _setup_events(self) -> None:
        self.add_events()


def _unused(message: str, history: list[Any]) -> str:
    raise NotImplementedError


def take_as_sent(component: gr.components.Component) -> None:
    """Have a component give to events what the browser sent, unchecked."""
    component.preprocess = lambda payload: payload


def keep_no_statistics() -> None:
    """Keep Gradio from making a pandas frame of all past events whenever one ends."""
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")


def keep_no_values() -> None:
    """Keep Gradio from holding, for hours, what each session has sent and was shown last.

    It is there for deep links, which are shut here: of a long conversation it is a megabyte. And
    a component that was changed gets another number than the one that it is known by, so that
    each turn would add one to its session. What a closed session has in its `gr.State`, which is
    a conversation, would be there for an hour.
    """
    SessionState.config_values = property(lambda _: {}, lambda *_: None)
    SessionState.STATE_TTL_WHEN_CLOSED = property(_closed, lambda *_: None)
    SessionState._update_config = SessionState._update_value_in_config = lambda *_: None
    SessionState.__setitem__ = _keep
    StateHolder.update = _use


def _closed(self: SessionState) -> float:
    """Return how long a closed session is kept: for as long as something in it `lasts`."""
    return inf if _lasts(self) else CLOSED


def _lasts(session: SessionState) -> bool:
    return any(getattr(value, "lasts", False) for value in session.state_data.values())


def _use(self: StateHolder, session: str) -> None:
    """Note that a session is used, and forget the one used least lately if there are too many.

    Not one of somebody who is answered: anybody can invent sessions.
    """
    with self.lock:
        if session in self.session_data:
            self.session_data.move_to_end(session)
        if len(self.session_data) <= self.capacity:
            return
        waits = getattr(self.blocks._queue.pending_messages_per_session, "waits", bool)
        for name, one in self.session_data.items():
            if not (_lasts(one) or waits(name)):
                del self.session_data[name]
                self.time_last_used.pop(name, None)
                return


def _keep(
    self: SessionState, key: int, value: Any, keep: Callable[..., None] = SessionState.__setitem__
) -> None:
    if isinstance(value, gr.blocks.Block):
        value._id = key
    keep(self, key, value)


@contextmanager
def served_with(**options: Any) -> Iterator[None]:
    """Have a page that is launched in this block be served with these options of uvicorn's."""
    module, probed = vars(http_server), http_server.LOCALHOST_NAME
    module["uvicorn"] = SimpleNamespace(Config=partial(uvicorn.Config, **options))
    # Else GRADIO_SERVER_NAME, where it looks by IPv4 whether the port is free.
    module["LOCALHOST_NAME"] = "127.0.0.1"
    try:
        yield
    finally:
        module.update(uvicorn=uvicorn, LOCALHOST_NAME=probed)


def end_sessions(page: gr.Blocks, seconds: float) -> None:
    """Have each login of a page that is served end after so many seconds."""
    page.app.tokens = sessions.lasting(seconds, page.app.tokens)


def let_go(page: gr.Blocks) -> None:
    """Have the server of a page end at once when it ends, and wait for nobody's connection."""
    page.server.force_exit = True
    # It would tell of everybody who is cut off as of a fault.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)


def serve_own_files(page: gr.Blocks) -> None:
    """Have a page with a share link take its code from here too, and not from another host."""
    page.share = False  # once the link is there, all that it chooses is the page's template


def named(function: Callable[..., Any], *names: str) -> Callable[..., Any]:
    """Give the parameters of `function` the names by which API clients give their values."""
    parameters = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    vars(function)["__signature__"] = Signature(parameters)
    return function


def update_in_javascript(**properties: Any) -> str:
    """Return, as JavaScript, what changes only these properties of a component."""
    return json.dumps({"__type__": "update", **properties})
