"""Which chat template: a tokenizer may bring several by name, and a file may hold another."""

from pathlib import Path
from typing import Any

from prompts.base import PromptError
from prompts.unicode import decode

#: More bytes than this are no template.
LARGEST = 1_000_000


def use(tokenizer: Any, wanted: str) -> None:
    """Have `tokenizer` use the chat template `wanted`, one of its own by name or that in a file.

    Before anything else is made of the tokenizer, since what is a control token
    depends on it. "" leaves everything as it is.

    Raises:
        PromptError: there is neither, or the file holds none.
    """
    if wanted:
        named = _named(tokenizer)
        tokenizer.chat_template = named[wanted] if wanted in named else _read(wanted, named)


def default(tokenizer: Any) -> str:
    """Return the source of the template that is used if none is named, or "".

    Raises:
        PromptError: there are several, and none of them is called default.
    """
    named = _named(tokenizer)
    if named and "default" not in named:
        raise PromptError(
            "This model's tokenizer has no default chat template; choose one with --chat-template: "
            f"{', '.join(sorted(named))}."
        )
    return named.get("default", "")


def for_tools(tokenizer: Any) -> str:
    """Return the source of the template to use where there are tools, or "".

    Raises:
        PromptError: see `default`.
    """
    return _named(tokenizer).get("tool_use") or default(tokenizer)


def _named(tokenizer: Any) -> dict[str, str]:
    templates = tokenizer.chat_template or {}
    return templates if isinstance(templates, dict) else {"default": str(templates)}


def _read(name: str, named: dict[str, str]) -> str:
    try:
        file = Path(name).expanduser()
        if not file.is_file():
            there = f"it has {', '.join(sorted(named))}" if named else "it has none"
            raise PromptError(
                f"This model's tokenizer has no chat template {name} ({there}), and there is no "
                "such file."
            )
        if file.stat().st_size > LARGEST:
            raise PromptError(f"{name} is too large for a chat template.")
        source = decode(file.read_bytes())
    except PromptError:
        raise
    except UnicodeDecodeError:
        raise PromptError(f"{name} is not text in UTF-8, so it is no chat template.") from None
    except (OSError, ValueError, RuntimeError):
        raise PromptError(f"The chat template {name} cannot be read.") from None
    if not source.strip():
        raise PromptError(f"{name} is empty, so it is no chat template.")
    return source
