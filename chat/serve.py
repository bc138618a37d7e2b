"""Serving the page: where it can be reached, and by whom."""

import os
import socket

import gradio as gr
from starlette.middleware import Middleware

from chat.errors import SettingsError
from chat.guard import Guard
from chat.look import CSS, FONTS, HEAD
from chat.page import Page
from chat.settings import Settings

#: Events that Gradio may run beside those of the people who are answered or waiting.
SPARE = 64


def check_address(settings: Settings) -> None:
    """Find out before a model is loaded whether the page can be served.

    Raises:
        SettingsError: the address is not this machine's, or the port is in use.
    """
    host = settings.server_name or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    port = settings.server_port or int(os.environ.get("GRADIO_SERVER_PORT") or 0)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), port))
    except OSError as error:
        where = f"{host}:{port}" if port else host
        raise SettingsError(
            f"The page cannot be served at {where} ({error.strerror}); "
            "choose another --server-port or --server-name."
        ) from None


def launch(page: Page, settings: Settings, *, block: bool = True) -> str:
    """Serve the page and return its address; nothing is public unless `share` is set."""
    page.queue(api_open=False, max_size=settings.max_waiting + SPARE)
    _, url, _ = page.launch(
        share=settings.share,
        auth=settings.logins(),
        server_name=settings.server_name,
        server_port=settings.server_port,
        max_threads=settings.max_waiting + SPARE,
        state_session_capacity=500,
        app_kwargs={"middleware": [Middleware(Guard)]},
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        theme=gr.themes.Default(**FONTS),
        css=CSS,
        head=HEAD,
        prevent_thread_lock=not block,
    )
    return str(url)
