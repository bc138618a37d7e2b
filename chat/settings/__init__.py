"""What the host may set, as flags or `CHAT_*` environment variables.

One typed object, read and checked at start; a flag wins over its variable.
"""

import os
import platform
import re
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import metadata
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, CliSettingsSource, SettingsConfigDict

from chat import __version__
from chat.core.explain import explain
from chat.core.sampling import Sampling, SamplingFields
from chat.engines.server.entry import ServerOptions
from chat.errors import SettingsError
from chat.settings.model import ModelSettings, PromptSettings
from chat.settings.page import PageSettings
from chat.settings.serving import ServingSettings, as_root
from chat.settings.visitors import BrowserSettings, KeepSettings, VisitorSettings, addresses

#: Settings of several lines.
LINES = ("stop", "choices")


# `--help` has the fields of the last base first.
class Settings(
    ServingSettings,
    SamplingFields,
    KeepSettings,
    PromptSettings,
    PageSettings,
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

    def sampling(self, suited: Mapping[str, Any] = MappingProxyType({})) -> Sampling:
        """Return the values that the page's controls start with.

        `suited` are those that suit the model, where the host has set none.
        """
        values = {name: getattr(self, name) for name in SamplingFields.model_fields}
        unset = suited.keys() - self.model_fields_set
        found = {**values, **{name: suited[name] for name in unset}}
        if "max_new_tokens" in unset:  # the host's shortest may be longer than suits the model
            found["min_new_tokens"] = min(found["min_new_tokens"], found["max_new_tokens"])
        return Sampling(**found)


def read(
    arguments: list[str], program: str | None = None, description: str | None = None
) -> Settings:
    """Read the settings of a program from its command line and the environment.

    Raises:
        SettingsError: a value is unusable; names its flag and variable.
        SystemExit: for `--help` and `--version`, and for a flag that does not exist.
    """
    parser = ArgumentParser(
        program,
        description=description or Settings.__doc__,
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
    for name in LINES:
        # Of a flag that is given again the lines are put together; else commas would do that.
        if isinstance(given := getattr(flags, name, None), list):
            setattr(flags, name, ["\n".join(given)])
    try:
        settings = Settings(_cli_settings_source=source(parsed_args=flags))
        settings.sampling()  # what a pattern or a schema holds is checked there
        if not settings.trusted_proxies:
            _check_proxies(os.environ.get("FORWARDED_ALLOW_IPS", ""))
    except ValidationError as error:
        raise SettingsError(explain(error, _title)) from None
    return settings


def version() -> str:
    """Return the version, with those that a report of a fault needs."""
    others = [f"{name} {metadata.version(name)}" for name in ("torch", "transformers", "gradio")]
    return f"Fourbit Chat {__version__} (Python {platform.python_version()}, {', '.join(others)})"


def _title(name: str) -> str:
    return f"--{name.replace('_', '-')} (or CHAT_{name.upper()})"


#: What it sets in each pod beside a service that is called chat.
KUBERNETES = re.compile(r"CHAT_SERVICE_(HOST|PORT)(_.*)?|CHAT_PORT(_.*)?")


def _check_names(environment: Mapping[str, str]) -> None:
    """Refuse a variable that was meant to be one of ours."""
    known = [f"CHAT_{name.upper()}" for name in Settings.model_fields]
    for name in environment.keys() - set(known):
        if KUBERNETES.fullmatch(name):
            continue
        if name.startswith("CHAT_") and (meant := get_close_matches(name, known, 1, 0.85)):
            raise SettingsError(f"There is no setting {name}; did you mean {meant[0]}?")


def _check_gradio_port(port: str) -> None:
    """Refuse what would stop Gradio with a traceback while it is imported."""
    if port and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise SettingsError("GRADIO_SERVER_PORT must be a whole number from 1 to 65535.")


def _check_proxies(told: str) -> None:
    """Refuse what is no address, such as `*`, with which anyone could say who they are."""
    try:
        addresses(told)
    except ValueError as error:
        raise SettingsError(f"FORWARDED_ALLOW_IPS cannot be used: {error}.") from None


def _check_gradio_root(path: str) -> None:
    try:
        as_root(path)
    except ValueError:
        raise SettingsError("GRADIO_ROOT_PATH must be a path such as /chat.") from None
