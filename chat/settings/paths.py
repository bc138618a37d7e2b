"""Paths as people write them in a variable or a file, where no shell has seen to them."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator


def expanded(path: Path) -> Path:
    """Return a path with the home that ~ is.

    Raises:
        ValueError: nobody has it.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("there is no such home") from None


#: A path that is taken with the home that ~ is.
File = Annotated[Path, AfterValidator(expanded)]
