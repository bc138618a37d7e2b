"""A model of the hub before it is downloaded: small files whole, and large ones by their heads.

Files of weights begin with what is in them. So a file with holes, which has the
size of the whole and takes no disk, tells whatever can be known without the numbers.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import (
    get_session,
    get_token,
    hf_hub_download,
    hf_hub_url,
    hf_raise_for_status,
    snapshot_download,
)
from huggingface_hub.errors import DryRunError
from huggingface_hub.file_download import DryRunFileInfo

from chat.models import gguf_header

#: How many bytes come at a time.
CHUNK = 1 << 20
#: More bytes than this are no head.
MOST = 1 << 28


class Heads:
    """Gets them into `folder`, in place of the downloads of huggingface_hub."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: What has still to be downloaded.
        self.missing_bytes = 0

    def file(self, repository: str, name: str) -> Path:
        """Return a file of a repository, whole or by its head; raises what a download does."""
        try:
            found = hf_hub_download(repository, name, dry_run=True)
        except DryRunError:
            return Path(hf_hub_download(repository, name, local_files_only=True))
        return self._take(repository, found, self.folder / repository)

    def snapshot(self, repository: str, first: str = "config.json", **patterns: Any) -> Path:
        """Return a folder with the files of a repository; raises what a download of one does."""
        try:
            found = snapshot_download(repository, dry_run=True, **patterns)
        except DryRunError:  # which does not say why
            hf_hub_download(repository, first)
            return Path(snapshot_download(repository, local_files_only=True, **patterns))
        if found and all(file.is_cached for file in found):
            return Path(snapshot_download(repository, local_files_only=True, **patterns))
        folder = self.folder / repository  # others are called the same after their owner
        folder.mkdir(parents=True, exist_ok=True)
        for file in found:
            self._take(repository, file, folder)
        return folder

    def _take(self, repository: str, file: DryRunFileInfo, folder: Path) -> Path:
        target = folder / file.filename
        if target.exists():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        complete = COMPLETE.get(target.suffix.lower())
        if file.is_cached or not complete:
            os.symlink(hf_hub_download(repository, file.filename), target)
            return target
        size = file.file_size or 0
        self.missing_bytes += size
        url = hf_hub_url(repository, file.filename, revision=file.commit_hash)
        token = get_token()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with (
            get_session().stream("GET", url, headers=headers, follow_redirects=True) as answer,
            target.open("wb") as opened,
        ):
            hf_raise_for_status(answer)
            enough = CHUNK
            for chunk in answer.iter_bytes(CHUNK):
                opened.write(chunk)
                opened.flush()
                if (had := opened.tell()) >= enough:
                    if complete(target, had, size) or had > MOST:
                        break
                    enough *= 4
        os.truncate(target, size)
        return target


def _safetensors(file: Path, had: int, size: int) -> bool:
    with file.open("rb") as opened:
        return had >= 8 + int.from_bytes(opened.read(8), "little")


def _gguf(file: Path, had: int, size: int) -> bool:
    os.truncate(file, size)
    try:
        return gguf_header.end(file) <= had
    except gguf_header.Fault:  # half a head, or one that stays so
        return False
    finally:
        os.truncate(file, had)


#: By the ending of large files, whether so many bytes of one are its head.
COMPLETE: dict[str, Callable[[Path, int, int], bool]] = {
    ".safetensors": _safetensors,
    ".gguf": _gguf,
    ".bin": lambda file, had, size: True,
}
