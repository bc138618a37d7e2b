"""Where the page can be reached."""

import os
import socket

from chat.errors import SettingsError
from chat.settings import Settings


def check(settings: Settings) -> None:
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
