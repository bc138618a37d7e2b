"""What the app knows of this engine before it is loaded."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from chat.core.engine import Engine
from chat.engines.entry import Entry, Loaded, ManyOptions, Outlook
from chat.errors import ModelError

if TYPE_CHECKING:
    from chat.engines.server.connection import Connection

#: Replies at once if nobody says how many; the server's own limits hold anyway.
PARALLEL = 64


def _parallel(options: ManyOptions, slots: int | None) -> int:
    if options.parallel == "auto":
        return min(slots or PARALLEL, PARALLEL)
    return options.parallel


class ServerOptions(ManyOptions):
    """Where the server is."""

    server_url: str | None = Field(
        None,
        description="for the engine server, the address of what runs the model, such as "
        "http://127.0.0.1:8000",
    )
    server_key: SecretStr | None = Field(
        None,
        description="the key that this server asks for (a bearer token); better set as "
        "CHAT_SERVER_KEY",
    )

    @field_validator("server_url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            parts = urlsplit(url.strip())
            port = parts.port
            (parts.hostname or "").encode("idna")  # which has limits, and so has who connects
        except ValueError:
            raise ValueError("write an address such as http://127.0.0.1:8000") from None
        if parts.username is not None or parts.password is not None:
            raise ValueError("leave out the user and the password; a key is set by --server-key")
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or port == 0
            or re.search(r"[\s\x00-\x1f?#\\]", url.strip())
        ):
            raise ValueError("write an address such as http://127.0.0.1:8000")
        path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
        return f"{parts.scheme}://{parts.netloc}{path}"

    @field_validator("server_key")
    @classmethod
    def _header(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not re.fullmatch("[!-~]+", key.get_secret_value()):
            raise ValueError("write letters, digits and signs of ASCII, without spaces")
        return key


def _connection(options: ServerOptions) -> "Connection":
    from chat.engines.server.connection import Connection

    if not options.server_url:
        raise ModelError("--engine server needs --server-url, the address of the server.")
    for name in ("adapter", "assistant_model", "prompt_lookup"):
        if getattr(options, name):
            flag = name.replace("_", "-")
            raise ModelError(f"What a server loads is set there; leave out --{flag}.")
    key = options.server_key.get_secret_value() if options.server_key else ""
    return Connection(options.server_url, key)


def _find(name: str, cache: Path, options: ServerOptions) -> tuple[str, Path]:
    from chat.engines.server import probe
    from chat.models import tokenizer

    connection = _connection(options)
    if name == "auto":
        name = tokenizer.named(probe.served(connection).root)
    return name, tokenizer.find(name, cache)


def _load(source: Path, cache: Path, window: int, options: ServerOptions) -> Loaded:
    from chat.engines.server import probe
    from chat.engines.server.engine import ServerEngine
    from chat.models import config, tokenizer

    connection = _connection(options)
    found = probe.served(connection)
    loaded, folder = tokenizer.load(source, cache)
    dialect = probe.dialect(connection, found, loaded)
    generation = {**config.generation(folder), **found.generation}
    if dialect.beats and options.watchdog:
        connection.silence = float(options.watchdog)

    def start(stop_ids: Iterable[int]) -> Engine:
        print(f"{dialect.title} at {connection.url} runs the model", flush=True)
        return ServerEngine(
            connection,
            dialect,
            found.model,
            {*stop_ids, *found.stop_ids, *config.eos_ids(generation)},
            min(window, found.window),
            _parallel(options, found.slots),
            probe.Same(connection, found, loaded),
            found.adapters,
        )

    return Loaded(loaded, start, generation, tuple(found.adapters))


def _outlook(source: Path, cache: Path, window: int, options: ServerOptions) -> Outlook:
    from chat.engines.server import probe
    from chat.models import tokenizer

    connection = _connection(options)
    found = probe.served(connection)
    loaded, _ = tokenizer.load(source, cache)
    where = f"on the server, {probe.dialect(connection, found, loaded).title}"
    window = min(window, found.window)
    return Outlook(loaded, where, 0, 0, "memory", 0, window, _parallel(options, found.slots))


SERVER = Entry(
    title="The server",
    description="on another machine or in another process, at --server-url: vLLM, SGLang, "
    "llama.cpp's server or python -m chat.backend",
    hardware=(),
    options=ServerOptions,
    refusal=lambda source, cache: None,
    refused="The server cannot run this model: {reason}.",
    load=_load,
    outlook=_outlook,
    find=_find,
)
