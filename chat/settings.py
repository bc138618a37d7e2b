"""What the host may set, as flags or `CHAT_*` environment variables.

One typed object, read and checked at start; a flag wins over its variable.
"""

import os
import platform
import re
import tempfile
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import metadata
from ipaddress import ip_network
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from platformdirs import user_cache_path, user_data_path
from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, CliSettingsSource, SettingsConfigDict

from chat import __version__
from chat.core.explain import explain
from chat.core.sampling import Sampling, SamplingFields, Whole
from chat.engines.registry import ENGINES
from chat.engines.server.entry import ServerOptions
from chat.errors import SettingsError
from prompts import FORMATS

#: The file of the key that protects saved conversations, in the data folder.
KEY_FILE = "conversations.key"
#: Characters of a secret that takes its place.
SHORTEST_SECRET = 32

if TYPE_CHECKING:
    EngineName = str
else:
    EngineName = Literal[("auto", *ENGINES)]


def _told(*, automatic: bool) -> str:
    """Return what `--help` says of the engines that `auto` takes, or of the others."""
    entries = [
        (name, entry) for name, entry in ENGINES.items() if bool(entry.hardware) == automatic
    ]
    return " or ".join(f"{name} ({entry.description})" for name, entry in entries)


class ModelSettings(BaseModel):
    """Which model answers, and what runs it."""

    model: str = Field(
        "auto",
        min_length=1,
        description="the model: embedded, a hub id, a local folder, a local .gguf file, or "
        "hub-id:file.gguf; auto takes NousResearch/Llama-2-7b-chat-hf where there is a CUDA GPU "
        "and the embedded model elsewhere",
    )
    engine: EngineName = Field(
        "auto",
        description=f"what runs the model; auto takes {_told(automatic=True)}; if asked for, "
        f"{_told(automatic=False)} does",
    )
    check: str | None = Field(
        None,
        min_length=1,
        description="say whether and how this model would run here, instead of running one; "
        "nothing is loaded, and of a model on the hub only small files are downloaded",
    )


class PromptSettings(BaseModel):
    """How it is prompted."""

    prompt_format: str = Field(
        "auto",
        description="how the model is prompted; auto chooses from the model; or one of "
        + ", ".join(FORMATS),
    )
    chat_template: str = Field(
        "",
        description="the chat template to prompt the model with: the name of one of its own, or a "
        "file of Jinja; unless set, its default one",
    )
    echo: bool = Field(
        False, description="with a base model (plain), begin a reply with the text it continues"
    )
    system_prompt: str = Field(
        "You are a helpful assistant.",
        max_length=10_000,
        description="the system prompt that the page starts with",
    )

    @field_validator("prompt_format")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ("auto", *FORMATS):
            raise ValueError(f"there are auto, {', '.join(FORMATS)}")
        return name

    @model_validator(mode="after")
    def _by_template(self) -> Self:
        if self.chat_template and self.prompt_format == "auto":
            self.prompt_format = "template"
        if self.chat_template and self.prompt_format != "template":
            raise ValueError(
                f"--chat-template cannot be used with --prompt-format {self.prompt_format}, which "
                "does not use the chat template."
            )
        return self


class BrowserSettings(BaseModel):
    """What pages of other sites may do, in browsers."""

    allowed_hosts: str = Field(
        "",
        description="the names of this server, such as chat.example.org or *.example.org, with "
        "commas between, where it cannot tell by itself, and of sites whose pages may ask it; once "
        "set, no other is taken unless a login or a key protects; * for all",
    )
    frame_ancestors: str | None = Field(
        None,
        description="which other sites may show the page in a frame, such as "
        "https://example.org, with commas between; * for all, none for not even its own; unless "
        "set, none but huggingface.co where the page is a Space",
    )

    @field_validator("allowed_hosts")
    @classmethod
    def _names(cls, text: str) -> str:
        names = text.replace(",", " ").split()
        if not all(re.fullmatch(r"\*|(\*\.)?[\w-]+(\.[\w-]+)*", name, re.ASCII) for name in names):
            raise ValueError("write names such as chat.example.org, without a port")
        return text

    @field_validator("frame_ancestors")
    @classmethod
    def _sites(cls, text: str | None) -> str | None:
        names = (text or "").replace(",", " ").split()
        site = r"\*|none|(https?://)?(\*\.)?[\w-]+(\.[\w-]+)*(:(\d+|\*))?"
        if not all(re.fullmatch(site, name, re.ASCII) for name in names):
            raise ValueError("write sites such as https://example.org")
        return text


class KeepSettings(BaseModel):
    """What becomes of a reply whose reader is gone."""

    keep_seconds: int = Field(
        60,
        ge=0,
        le=3600,
        description="how long a reply goes on when its page is reloaded, asleep or without a "
        "network, to be picked up again; it ends sooner if somebody else waits, and at once with 0",
    )


class VisitorSettings(BaseModel):
    """What one visitor may have of the server, and who that is."""

    visitor_places: int | None = Field(
        None,
        ge=0,
        description="how many replies one visitor may have at once, with those in line; 0 is no "
        "limit; unless set, a quarter of all places, and 2 at least",
    )
    visitor_requests: int = Field(
        60, ge=0, description="how many requests one visitor may send in a minute; 0 is no limit"
    )
    visitor_tokens: int = Field(
        500_000,
        ge=0,
        description="how many tokens of prompts and replies one visitor may have in an hour; 0 is "
        "no limit",
    )
    trusted_proxies: str = Field(
        "",
        description="the reverse proxies that are believed whom they pass on (X-Forwarded-For): "
        "addresses and networks, after commas; those on the same machine always are",
    )
    api_keys: Path | None = Field(
        None,
        description="a file with the keys of programs, one a line, each with a name and limits of "
        "its own (docs/api.md); read anew when it is changed",
    )
    session_hours: int = Field(336, ge=1, le=87_600, description="how long a login lasts, in hours")

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, proxies: str) -> str:
        named = [proxy.strip() for proxy in proxies.split(",") if proxy.strip()]
        for proxy in named:
            try:
                ip_network(proxy)
            except ValueError:
                raise ValueError("write addresses and networks such as 10.0.0.0/8") from None
        return ",".join(named)


# `--help` has the fields of the last base first.
class Settings(
    SamplingFields,
    KeepSettings,
    PromptSettings,
    BrowserSettings,
    VisitorSettings,
    ServerOptions,
    ModelSettings,
    BaseSettings,
):
    """Chat with a 4-bit language model in the browser."""

    model_config = SettingsConfigDict(
        env_prefix="CHAT_",
        env_ignore_empty=True,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        extra="forbid",
        allow_inf_nan=False,
    )

    context_window: int = Field(
        8192,
        ge=64,
        description="most tokens of prompt and reply together; never more than the model's own",
    )
    max_waiting: int = Field(
        32, ge=0, le=1000, description="how many people may wait for the model; more are refused"
    )
    drain_seconds: int = Field(
        8,
        ge=0,
        le=86_400,
        description="how long replies that are being written may go on after a SIGTERM, while new "
        "ones are refused; docker stop gives 10 seconds, Kubernetes 30",
    )
    max_new_tokens_limit: Whole | None = Field(
        None,
        ge=1,
        description="the longest reply that anyone may ask for, in tokens; unless set, what the "
        "model's window leaves",
    )
    strict_api: bool = Field(
        False, description="refuse what a program sends that is not known, instead of ignoring it"
    )
    share: bool = Field(False, description="make a public link that lasts for a week")
    auth: SecretStr | None = Field(
        None,
        description="ask for a login: user:password, more of them after commas; better set as "
        "CHAT_AUTH, since other users of the machine can read flags",
    )
    api_key: SecretStr | None = Field(
        None,
        description="ask programs for this key (a bearer token); better set as CHAT_API_KEY. With "
        "a login and without a key, programs get no answer at /v1",
    )
    server_name: str | None = Field(
        None,
        description="the address to listen on, 0.0.0.0 for all; unless set, GRADIO_SERVER_NAME "
        "or 127.0.0.1",
    )
    server_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="the port; unless set, GRADIO_SERVER_PORT or the first free one from 7860 on",
    )
    log_format: Literal["text", "json"] = Field(
        "text",
        description="how the log on standard error is written; json has a line for each request, "
        "without anything that people write",
    )
    root_path: str | None = Field(
        None,
        description="the path below which a reverse proxy shows the page, such as /chat; unless "
        "set, GRADIO_ROOT_PATH. Needed only if the proxy does not take it off",
    )
    cache_dir: Path = Field(
        user_cache_path("fourbit-chat"),
        validate_default=True,
        description="where the embedded model and converted models are kept",
    )
    conversations_key: SecretStr | None = Field(
        None,
        description="the secret that protects the conversations saved in browsers, at least 32 "
        "characters, the same for all pages behind a balancer; better set as "
        "CHAT_CONVERSATIONS_KEY. Unless set, a key is made and kept in --data-dir",
    )
    data_dir: Path = Field(
        user_data_path("fourbit-chat"),
        validate_default=True,
        description="where the key is kept that protects the conversations saved in browsers",
    )

    @field_validator("auth", "api_key", "conversations_key")
    @classmethod
    def _is_text(cls, secret: SecretStr | None) -> SecretStr | None:
        """Return it unless it has bytes that are no text, which a variable can have."""
        if secret is not None and re.search(r"[\ud800-\udfff]", secret.get_secret_value()):
            raise ValueError("write it in UTF-8")
        return secret

    @field_validator("conversations_key")
    @classmethod
    def _long_enough(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value().strip()) < SHORTEST_SECRET:
            raise ValueError(f"write at least {SHORTEST_SECRET} characters")
        return key

    @field_validator("data_dir")
    @classmethod
    def _holds_a_key(cls, folder: Path, others: ValidationInfo) -> Path:
        """Return it if the key is there or not needed, or if one can be written there."""
        folder = folder.expanduser()
        needless = others.data.get("conversations_key") is not None
        if folder != Path() and (needless or os.access(folder / KEY_FILE, os.R_OK)):
            return folder
        return cls._writable(folder)

    @field_validator("cache_dir")
    @classmethod
    def _writable(cls, folder: Path) -> Path:
        folder = folder.expanduser()
        if folder == Path():
            raise ValueError("name a folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise ValueError(f"nothing can be written there ({error.strerror})") from None
        return folder

    @field_validator("root_path")
    @classmethod
    def _path(cls, path: str | None) -> str | None:
        return path if path is None else _root(path)

    @field_validator("auth")
    @classmethod
    def _logins(cls, auth: SecretStr | None) -> SecretStr | None:
        logins = auth.get_secret_value().split(",") if auth is not None else []
        if not all(name and colon and word for name, colon, word in map(_login, logins)):
            raise ValueError("write user:password, and more of them after commas")
        return auth

    @field_validator("api_key")
    @classmethod
    def _some_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not key.get_secret_value().strip():
            raise ValueError("write at least one character")
        return key

    def root(self) -> str:
        """Return the path below which a reverse proxy shows the page, such as /chat, or nothing."""
        if self.root_path is not None:
            return self.root_path
        return _root(os.environ.get("GRADIO_ROOT_PATH", ""))

    def logins(self) -> list[tuple[str, str]] | None:
        """Return the logins as Gradio takes them, or None if everyone may come in."""
        if not self.auth:
            return None
        return [
            (name, word) for name, _, word in map(_login, self.auth.get_secret_value().split(","))
        ]

    def conversations_secret(self) -> str:
        """Return the secret that protects saved conversations, or nothing if a file holds a key."""
        return self.conversations_key.get_secret_value().strip() if self.conversations_key else ""

    def sampling(self, suited: Mapping[str, Any] = MappingProxyType({})) -> Sampling:
        """Return the values that the page's controls start with.

        `suited` are those that suit the model, where the host has set none.
        """
        values = {name: getattr(self, name) for name in SamplingFields.model_fields}
        unset = suited.keys() - self.model_fields_set
        return Sampling(**{**values, **{name: suited[name] for name in unset}})


def _login(text: str) -> tuple[str, str, str]:
    return text.strip().partition(":")


def _root(path: str) -> str:
    """Return a root path as `/a/b`, or nothing for the root itself; of an address, its path.

    Raises:
        ValueError: it is no path.
    """
    path = unquote(urlsplit(path).path if "://" in path else path)
    parts = [part for part in path.split("/") if part]
    if any(part in (".", "..") or re.search(r"[\s?#\\\x00-\x1f\x7f]", part) for part in parts):
        raise ValueError("write a path such as /chat")
    return "".join(f"/{part}" for part in parts)


def read(arguments: list[str]) -> Settings:
    """Read the settings from command line arguments and the environment.

    Raises:
        SettingsError: a value is unusable; names its flag and variable.
        SystemExit: for `--help` and `--version`, and for a flag that does not exist.
    """
    parser = ArgumentParser(
        description=Settings.__doc__,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    source = add_flags(parser)
    return checked(source, parser.parse_args(arguments))


def add_flags(parser: ArgumentParser) -> CliSettingsSource[Any]:
    """Give `parser` a flag for each setting, and return what `checked` reads them with."""
    parser.add_argument("--version", action="version", version=version())
    source = CliSettingsSource[Any](Settings, root_parser=parser)
    source.env_ignore_empty = False  # an empty flag is meant, unlike an empty variable
    return source


def checked(source: CliSettingsSource[Any], flags: Namespace) -> Settings:
    """Return the settings that parsed flags and the environment say.

    Raises:
        SettingsError: a value is unusable; names its flag and variable.
    """
    _check_names(os.environ)
    _check_gradio_port(os.environ.get("GRADIO_SERVER_PORT", ""))
    _check_gradio_root(os.environ.get("GRADIO_ROOT_PATH", ""))
    try:
        settings = Settings(_cli_settings_source=source(parsed_args=flags))
        settings.sampling()  # what a pattern or a schema holds is checked there
    except ValidationError as error:
        raise SettingsError(explain(error, _title)) from None
    return settings


def version() -> str:
    """Return the version, with those that a report of a fault needs."""
    others = [f"{name} {metadata.version(name)}" for name in ("torch", "transformers", "gradio")]
    return f"Fourbit Chat {__version__} (Python {platform.python_version()}, {', '.join(others)})"


def _title(name: str) -> str:
    return f"--{name.replace('_', '-')} (or CHAT_{name.upper()})"


def _check_names(environment: Mapping[str, str]) -> None:
    """Refuse a variable that was meant to be one of ours."""
    known = [f"CHAT_{name.upper()}" for name in Settings.model_fields]
    for name in environment.keys() - set(known):
        if name.startswith("CHAT_") and (meant := get_close_matches(name, known, 1, 0.85)):
            raise SettingsError(f"There is no setting {name}; did you mean {meant[0]}?")


def _check_gradio_port(port: str) -> None:
    """Refuse what would stop Gradio with a traceback while it is imported."""
    if port and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise SettingsError("GRADIO_SERVER_PORT must be a whole number from 1 to 65535.")


def _check_gradio_root(path: str) -> None:
    try:
        _root(path)
    except ValueError:
        raise SettingsError("GRADIO_ROOT_PATH must be a path such as /chat.") from None
