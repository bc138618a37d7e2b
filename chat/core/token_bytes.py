"""The bytes that single tokens stand for, which can be a part of a character only."""

import re

from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

#: A token for one byte, of tokenizers that fall back to bytes (SentencePiece's name for it).
BYTE = re.compile("<0x([0-9A-F]{2})>")


class TokenBytes:
    """Those of a tokenizer with a Rust backend.

    Byte-level tokenizers write a letter for each byte (Radford et al., GPT-2, 2019); those
    that fall back to bytes have tokens of one. Any other token has the text that the
    tokenizer's own decoder makes of it, behind a letter.
    """

    def __init__(self, backend: Tokenizer) -> None:
        self._backend = backend
        self._added = {
            id: token.content for id, token in backend.get_added_tokens_decoder().items()
        }
        self._byte_level = self._decoded("Ġ") == " "
        self._falls_back = self._decoded("<0x41>") == "A"
        self._bytes = _byte_of_each_letter()

    def of(self, id: int) -> bytes:
        """Return the bytes of a token, none for an id without one."""
        if (added := self._added.get(id)) is not None:
            return added.encode()
        token = self._backend.id_to_token(id) or ""
        if self._byte_level and self._bytes.keys() >= set(token):
            return bytes(self._bytes[letter] for letter in token)
        if self._falls_back and (byte := BYTE.fullmatch(token)):
            return bytes.fromhex(byte[1])
        return self._decoded("a", token).removeprefix("a").encode()

    def _decoded(self, *tokens: str) -> str:
        decoder = self._backend.decoder
        return decoder.decode(list(tokens)) if decoder else "".join(tokens)


def _byte_of_each_letter() -> dict[str, int]:
    """Return GPT-2's alphabet: printable letters of Latin-1 are their bytes; others follow on."""
    letters = sorted(ByteLevel.alphabet())
    own = {letter: ord(letter) for letter in letters if ord(letter) < 256}
    others = (byte for byte in range(256) if chr(byte) not in own)
    return own | dict(zip(letters[len(own) :], others, strict=True))
