"""How much is answered, where, for whom, and what is kept for it."""

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from platformdirs import user_cache_path, user_data_path
from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

from chat.core.sampling import Whole
from chat.errors import SettingsError
from chat.settings.paths import File

#: The file of the key that protects saved conversations, in the data folder.
KEY_FILE = "conversations.key"
#: Characters of a secret that takes its place.
SHORTEST_SECRET = 32


class ServingSettings(BaseModel):
    """How much a server takes, how it is reached, and what it keeps."""

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
    cache_dir: File = Field(
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
    data_dir: File = Field(
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

    @field_validator("cache_dir", "data_dir")
    @classmethod
    def _folder(cls, folder: Path, about: ValidationInfo) -> Path:
        if folder == Path():
            raise ValueError("name a folder")
        if about.field_name == "cache_dir":
            _require_writable(folder)
        else:  # the other one is for the page alone, see `require_data_dir`
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
        return folder

    @field_validator("root_path")
    @classmethod
    def _path(cls, path: str | None) -> str | None:
        return path if path is None else as_root(path)

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

    def require_data_dir(self) -> None:
        """Have the data folder be there, unless it is not needed.

        Raises:
            SettingsError: the key is not there, and none can be written.
        """
        if self.conversations_key is None and not os.access(self.data_dir / KEY_FILE, os.R_OK):
            try:
                _require_writable(self.data_dir)
            except ValueError as error:
                raise SettingsError(
                    f"--data-dir (or CHAT_DATA_DIR) is not usable: {error}."
                ) from None

    def root(self) -> str:
        """Return the path below which a reverse proxy shows the page, such as /chat, or nothing."""
        if self.root_path is not None:
            return self.root_path
        return as_root(os.environ.get("GRADIO_ROOT_PATH", ""))

    def logins(self) -> list[tuple[str, str]] | None:
        """Return names and their passwords, or None if everyone may come in."""
        if not self.auth:
            return None
        return [
            (name, word) for name, _, word in map(_login, self.auth.get_secret_value().split(","))
        ]

    def conversations_secret(self) -> str:
        """Return the secret that protects saved conversations, or nothing if a file holds a key."""
        return self.conversations_key.get_secret_value().strip() if self.conversations_key else ""


def _login(text: str) -> tuple[str, str, str]:
    return text.strip().partition(":")


def as_root(path: str) -> str:
    """Return a root path as `/a/b`, or nothing for the root itself; of an address, its path.

    Raises:
        ValueError: it is no path.
    """
    path = unquote(urlsplit(path).path if "://" in path else path)
    parts = [part for part in path.split("/") if part]
    if any(part in (".", "..") or re.search(r"[\s?#\\\x00-\x1f\x7f]", part) for part in parts):
        raise ValueError("write a path such as /chat")
    return "".join(f"/{part}" for part in parts)


def _require_writable(folder: Path) -> None:
    """Make a folder if need be; raise ValueError if nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ValueError(f"nothing can be written there ({error.strerror})") from None
