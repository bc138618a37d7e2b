"""Text that others keep for the server, and that it alone can read.

What a page saves lies in its visitor's browser, where every other page of the same
address can read it: the next app on this port, or the next owner of a share link.
So it lies there encrypted and authenticated (Fernet), with a key that no browser ever
gets. `gr.BrowserState` encrypts too, but gives its key to whoever loads the page.

Several servers that one balancer shares people out among have to have the same key.
"""

import base64
import hmac
import os
import tempfile
import zlib
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chat.errors import BadRequest, SettingsError
from chat.settings.serving import KEY_FILE as NAME

#: What a secret is made a key for, so that it is another one than for all else.
PURPOSE = b"fourbit-chat: saved conversations"

#: More characters than this would not come back through the limit on requests.
LONGEST = 900_000


class Seal:
    """The key that `secret` makes, or else the one in `folder`, made with the first start.

    Raises:
        SettingsError: what is there is no key, or cannot be read or written.
    """

    def __init__(self, folder: Path, secret: str = "") -> None:
        self._key = _derived(secret) if secret else _kept(folder / NAME)

    def close(self, text: str, owner: str | None) -> str:
        """Return `text` sealed for the login `owner`, or for everyone without one.

        Raises:
            BadRequest: it is too long.
        """
        sealed = self._for(owner).encrypt(zlib.compress(text.encode())).decode()
        if len(sealed) > LONGEST:
            raise BadRequest("This conversation is too long to be saved.")
        return sealed

    def open(self, sealed: Any, owner: str | None, most: int = 0) -> str:
        """Return the text, which may have `most` bytes, or as many as it has.

        Raises:
            BadRequest: it was sealed with another key or for another login, or never.
        """
        unpacking = zlib.decompressobj()
        try:
            packed = self._for(owner).decrypt(str(sealed).encode())
        except (InvalidToken, UnicodeEncodeError):
            packed = b""
        # A short one may unpack to a thousand times as much.
        text = unpacking.decompress(packed, most and most + 1)
        if not unpacking.eof or (most and len(text) > most):
            raise BadRequest("This conversation was saved with another key or another login.")
        return text.decode()

    def _for(self, owner: str | None) -> Fernet:
        """Return what seals for one login: two people may share a browser."""
        digest = hmac.digest(self._key, (owner or "").encode(), "sha256")
        return Fernet(base64.urlsafe_b64encode(digest))


def _derived(secret: str) -> bytes:
    """Return the key that everybody makes of a secret (HKDF, RFC 5869)."""
    return HKDF(SHA256(), 32, salt=None, info=PURPOSE).derive(secret.encode())


def _kept(path: Path) -> bytes:
    """Return the key in a file, which only its owner may read."""
    try:
        if not path.exists():
            _make(path)
        key = path.read_bytes().strip()
        Fernet(key)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not one"
        raise SettingsError(
            f"The key {NAME} in the data folder (--data-dir) cannot be used ({reason}); put "
            "the right one back, or delete it and lose the conversations that it protects."
        ) from None
    return key


def _make(path: Path) -> None:
    """Make a key, whole or not at all."""
    handle, made = tempfile.mkstemp(dir=path.parent)  # which its owner alone may read
    try:
        with open(handle, "wb") as file:
            file.write(Fernet.generate_key())
        try:
            os.link(made, path)
        except FileExistsError:  # another start was quicker, and its key is used
            pass
        except OSError:  # many drives that are mounted have no links
            os.rename(made, path)
    finally:
        Path(made).unlink(missing_ok=True)
