"""The keys of programs: the one of `--api-key`, and those in the file of `--api-keys`.

A line of the file is a name, the key or the SHA-256 of it, and limits, if it has any:

    # name  key                    limits
    ann     k-3q2PzX8vJm
    ci      sha256:9f86d081...     requests=60 tokens=200000 places=4

It is read anew when it has changed. What cannot be read then changes nothing, and the log says
so, by the line and never by what is in it.
"""

import logging
import os
import re
import time
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import NamedTuple

from chat.core.shares import Account, Limits
from chat.errors import SettingsError
from chat.settings import Settings
from chat.web.visitors.guesses import Guesses

#: What the key of `--api-key` is called.
DEFAULT = "default"
#: Bytes of a file, at most.
LONGEST = 1_000_000
#: Seconds between two looks at it, at least.
PAUSE = 1.0
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
LIMIT = re.compile(r"(places|requests|tokens)=([0-9]{1,15})")

log = logging.getLogger(__name__)


class Key(NamedTuple):
    """A key, of which nothing is kept that it could be used by."""

    digest: bytes
    account: Account


class NoKeys(Exception):
    """There are no keys in a file, for a reason that can be told."""


class Keys:
    """Those that are valid now.

    Raises:
        SettingsError: the file has none.
    """

    def __init__(self, file: Path | None, default: str) -> None:
        account = Account(f"key:{DEFAULT}", who="This key")
        self._own = [Key(_digest(default.encode()), account)] if default else []
        #: Of wrong ones, at all addresses that take them.
        self.guesses = Guesses()
        self._file = file
        self._keys: list[Key] = []
        self._seen: object = None
        self._looked = 0.0
        if file:
            try:
                self._keys = self._read(file)
            except NoKeys as error:
                raise SettingsError(f"The file of --api-keys {error}.") from None

    def __bool__(self) -> bool:
        return bool(self._own or self._file)

    def find(self, key: bytes) -> Account | None:
        """Return whose key this is; each one is compared, so that time tells nothing of them."""
        self._look()
        digest = _digest(key)
        found = [one for one in [*self._own, *self._keys] if compare_digest(one.digest, digest)]
        return found[0].account if found else None

    def _look(self) -> None:
        now = time.monotonic()
        if not self._file or now < self._looked + PAUSE:
            return
        self._looked = now
        if self._stamp(self._file) == self._seen:
            return
        try:
            self._keys = self._read(self._file)
        except NoKeys as error:
            log.error("The file of --api-keys %s; the keys of before are still valid.", error)

    def _read(self, file: Path) -> list[Key]:
        self._seen = self._stamp(file)
        try:
            with file.open("rb") as opened:
                if os.fstat(opened.fileno()).st_mode & 0o077:
                    log.warning("The file of --api-keys is open to others here: chmod 600 it.")
                lines = opened.read(LONGEST + 1)
        except OSError as error:
            raise NoKeys(f"cannot be read ({error.strerror})") from None
        if len(lines) > LONGEST:
            raise NoKeys(f"has more than {LONGEST:,} bytes")
        keys = _keys(lines)
        if not keys:
            raise NoKeys("has no key in it")
        return keys

    @staticmethod
    def _stamp(file: Path) -> object:
        """Return what changes with a file, and with what is put in its place."""
        try:
            now = file.stat()
        except OSError:
            return "away"
        return now.st_mtime_ns, now.st_ino, now.st_dev, now.st_size, now.st_mode


def of(settings: Settings) -> Keys:
    """Return the keys that are set.

    Raises:
        SettingsError: the file of `--api-keys` has none.
    """
    own = settings.api_key.get_secret_value().strip() if settings.api_key else ""
    return _shared(settings.api_keys, own)


@lru_cache(8)
def _shared(file: Path | None, default: str) -> Keys:
    """Return the same ones for all addresses, so that the log has each thing once."""
    return Keys(file, default)


def _digest(key: bytes) -> bytes:
    return sha256(key).digest()


def _keys(lines: bytes) -> list[Key]:
    try:
        texts = lines.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise NoKeys("is not UTF-8") from None
    found: dict[str, Key] = {}
    for number, line in enumerate(texts, 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            key = _key(number, words)
            if key.account.name in found:
                raise NoKeys(f"has a name twice, for the second time in line {number}")
            if any(key.digest == one.digest for one in found.values()):
                raise NoKeys(f"has a key twice, for the second time in line {number}")
            found[key.account.name] = key
    return [*found.values()]


def _key(number: int, words: list[str]) -> Key:
    name, *rest = words
    if not rest or not NAME.fullmatch(name) or name == DEFAULT:
        raise NoKeys(f"has a line that is not a name and a key: line {number}")
    key, hashed = _digest(rest[0].encode()), rest[0].removeprefix("sha256:")
    if hashed != rest[0]:
        if not re.fullmatch("[0-9a-fA-F]{64}", hashed):
            raise NoKeys(f"has a SHA-256 that is none, in line {number}")
        key = bytes.fromhex(hashed)
    limits = [LIMIT.fullmatch(word) for word in rest[1:]]
    if not all(limits) or len({found[1] for found in limits if found}) < len(limits):
        raise NoKeys(
            f"has something else after a key than places=, requests= and tokens=: line {number}"
        )
    given = {found[1]: int(found[2]) for found in limits if found}
    return Key(key, Account(f"key:{name}", Limits(**given), "This key"))
