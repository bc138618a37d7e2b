"""What is different on a Hugging Face Space."""

import os
import tempfile
from importlib import import_module
from pathlib import Path

#: Where a Space has storage that outlasts it, if it was given some.
STORAGE = Path("/data")


def on_space() -> bool:
    """Whether this is a Space."""
    return bool(os.environ.get("SPACE_ID"))


def zero_gpu() -> bool:
    """Whether this is a Space on ZeroGPU, which has a GPU only in forked processes."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def emulate_gpu() -> None:
    """On ZeroGPU, have `spaces` change Gradio and torch; to be called before they are imported."""
    if zero_gpu():
        # It plays a GPU on this thread alone, so here transformers has to load the model.
        os.environ["HF_DEACTIVATE_ASYNC_LOAD"] = "1"
        import_module("spaces")


def use_storage() -> None:
    """Have models, conversions and keys kept on the Space's storage, unless set otherwise.

    To be called before anything reads these variables.
    """
    if not on_space():
        return
    try:
        tempfile.TemporaryFile(dir=STORAGE).close()
    except OSError:  # there is none, or it is read-only
        return
    for name, folder in {
        "HF_HOME": "huggingface",
        "CHAT_CACHE_DIR": "fourbit-chat/cache",
        "CHAT_DATA_DIR": "fourbit-chat/data",
    }.items():
        if not os.environ.get(name):
            os.environ[name] = str(STORAGE / folder)


def share(wanted: bool) -> bool:
    """Return whether to make a share link: a Space needs none."""
    if wanted and on_space():
        print("A Space has an address of its own, so --share makes no link here.", flush=True)
        return False
    return wanted
