"""Serving the page: by whom it can be reached, and for how many."""

import gradio as gr
from starlette.middleware import Middleware

from chat import space
from chat.errors import SettingsError
from chat.settings import Settings
from chat.web import address, headers, health, logs, manifest, metrics, proxies, traces, words
from chat.web.api import routes as api
from chat.web.drain import Drain
from chat.web.ending import end_now, end_with
from chat.web.guard import Guard
from chat.web.headers import Headers
from chat.web.origin_form import OriginForm
from chat.web.origins import Origins
from chat.web.page.completion_page import CompletionPage
from chat.web.page.gradio_internals import (
    UNPROBED,
    end_sessions,
    keep_no_statistics,
    keep_no_values,
    let_go,
    serve_own_files,
    served_with,
)
from chat.web.page.page import Page
from chat.web.page.theme import CSS, FONTS, HEAD
from chat.web.requests import Logged
from chat.web.reverse_proxy import ReverseProxy
from chat.web.unreadable import Unreadable
from chat.web.visitors import login_page
from chat.web.visitors.connections import options
from chat.web.visitors.login import Logins
from chat.web.visitors.login_page import LoginPage
from chat.web.visitors.logout import Logout
from chat.web.visitors.patience import Patience
from chat.web.visitors.visitor import Visitors, known_proxies

#: Events that Gradio may run beside those of the people who are answered or waiting.
SPARE = 64


def launch(page: Page | CompletionPage, settings: Settings, *, block: bool = True) -> str:
    """Serve the page and return its address; nothing is public unless `share` is set.

    Raises:
        SettingsError: the address was free when it was chosen, and is no more.
    """
    keep_no_statistics()
    keep_no_values()
    logins = settings.logins()
    page.queue(api_open=False, max_size=settings.max_waiting + SPARE)
    try:
        with proxies.ignored(), served_with(**options(known_proxies(settings))):
            _, url, _ = page.launch(
                share=space.share(settings.share),
                auth=logins and Logins(dict(logins)),
                server_name=address.host(settings),
                server_port=settings.server_port,
                max_threads=settings.max_waiting + SPARE,
                state_session_capacity=500,
                app_kwargs={
                    "middleware": [
                        Middleware(Logged),
                        Middleware(Headers, headers.frames(settings), HEAD),
                        Middleware(OriginForm),
                        Middleware(ReverseProxy, settings.root()),
                        Middleware(
                            Origins, settings, address.host(settings), lambda: page.share_url
                        ),
                        Middleware(Visitors, settings, page.chat.gate.places),
                        Middleware(Patience),
                        Middleware(Guard),
                        Middleware(Logout),
                        Middleware(LoginPage),
                        Middleware(Unreadable),
                    ],
                    "routes": [
                        login_page.route(),
                        manifest.route(settings.title),
                        words.route(),
                        *health.routes(page.chat.engine, page.chat.gate),
                        metrics.route(page.chat, settings),
                        *api.routes(page.chat, settings),
                    ],
                },
                root_path="",  # ReverseProxy takes it off
                run_history=False,
                ssr_mode=False,  # a Space may switch it on, and Node would stand between
                enable_monitoring=False,
                footer_links=[],
                theme=gr.themes.Default(primary_hue=settings.accent, **FONTS),
                css=CSS,
                head=HEAD,
                prevent_thread_lock=True,
                **UNPROBED,
            )
    except OSError:
        where = settings.server_port or "this address"
        raise SettingsError(
            f"The page cannot be served at {where}, which something else has taken by now; "
            "choose another --server-port."
        ) from None
    serve_own_files(page)
    end_sessions(page, settings.session_hours * 3600)
    logs.adopt("uvicorn")  # what it says of an error may quote what someone wrote
    traces.begin(page.chat.meter)
    if block:
        Drain(page.chat.gate, settings.drain_seconds, lambda: let_go(page))
        end_with(page.chat.engine, page.chat.gate)
        page.block_thread()
        end_now()
    return str(url)
