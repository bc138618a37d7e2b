"""Texts that come along: presets for the system prompt, and examples of what to say.

Each is a file that anyone can add. `presets/<name>.txt` is one system prompt, shown as
"Name". `examples/<format>.txt` has an example a line, for the models of one prompt
format; those of the others are in `examples/chat.txt`.
"""

from pathlib import Path

from prompts.base import PromptError
from prompts.unicode import decode

HERE = Path(__file__).parent


def presets(folder: Path = HERE / "presets") -> dict[str, str]:
    """Return the system prompts by their names, in the order of the names.

    Raises:
        PromptError: a file is not text.
    """
    return {
        file.stem.replace("-", " ").replace("_", " ").capitalize(): _read(file)
        for file in sorted(folder.glob("*.txt"))
    }


def examples(format: str, folder: Path = HERE / "examples") -> list[str]:
    """Return the example prompts for the models of a prompt format.

    Raises:
        PromptError: a file is not text.
    """
    for name in (format, "chat"):
        if (file := folder / f"{name}.txt").is_file():
            return lines(file)
    return []


def lines(file: Path) -> list[str]:
    """Return the lines of a file in which anything is.

    Raises:
        PromptError: it is not text.
    """
    return [line.strip() for line in _read(file).splitlines() if line.strip()]


def _read(file: Path) -> str:
    try:
        return decode(file.read_bytes()).strip()
    except (OSError, ValueError):
        raise PromptError(f"{file.parent.name}/{file.name} cannot be read as UTF-8 text.") from None
