"""Where the page can be reached."""

import os
import socket

from chat.errors import SettingsError
from chat.settings import Settings

#: Where no port was asked for, the first free one of these is taken, as Gradio does.
PORTS = range(7860, 7960)


def host(settings: Settings) -> str:
    """Return the address or the name that the page listens on."""
    return settings.server_name or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"


def listen(settings: Settings) -> tuple[socket.socket, Settings]:
    """Take the page's port before a model is loaded; return it, listening, and where it is.

    Raises:
        SettingsError: the address is not this machine's, or the port is in use.
    """
    name = host(settings)
    if ":" in name:  # IPv6, which a URL has in brackets
        name = f"[{name.strip('[]')}]"
    port = settings.server_port or int(os.environ.get("GRADIO_SERVER_PORT") or 0)
    for one in [port] if port else PORTS:
        try:
            taken = _listen(name, one)
        except OSError as error:
            reason = error.strerror
        else:
            return taken, settings.model_copy(update={"server_name": name, "server_port": one})
    where = f"{name}:{port}" if port else f"{name}, ports {PORTS[0]} to {PORTS[-1]}"
    raise SettingsError(
        f"The page cannot be served at {where} ({reason}); "
        "choose another --server-port or --server-name."
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # as asyncio has it for the page afterwards
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((host.strip("[]"), port))
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening
