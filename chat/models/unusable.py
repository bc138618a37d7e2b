"""What is said of files that are not what they should be."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chat.errors import ModelError

#: How a file begins that Git has in place of a large one, until Git LFS is asked for it.
POINTER = b"version https://git-lfs.github.com/"


def unusable(why: str) -> ModelError:
    """Return the error for a model whose files are not what they should be."""
    return ModelError(f"The model could not be loaded: {why}.")


def damaged(file: Path, how: str = "is damaged, or was cut off") -> ModelError:
    """Return the error for a file of weights that cannot be read."""
    with file.open("rb") as opened:
        pointer = opened.read(len(POINTER)) == POINTER
    if pointer:
        return unusable(f"{file.name} only points to the weights; fetch them with git lfs pull")
    return unusable(f"{file.name} {how}")


def no_tokenizer(error: Exception) -> ModelError:
    """Return the error for a tokenizer at which a library has failed with this one."""
    reason = str(error).strip().partition("\n")[0].rstrip(".")
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):  # which say where, in no file
        reason = "one of its files is damaged"
    return ModelError(f"The model's tokenizer could not be loaded: {reason}.")


@contextmanager
def told_by_system() -> Iterator[None]:
    """Have what the operating system refuses meanwhile, such as a disk that is full, said so.

    Raises:
        ModelError: it refused something.
    """
    try:
        yield
    except OSError as error:
        raise unusable(error.strerror or type(error).__name__) from None
