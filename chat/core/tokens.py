"""Between text and token ids: pieces to ids on the way in, ids to text on the way out."""

from collections.abc import Iterable, Sequence, Set
from functools import cached_property
from typing import Protocol

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from chat.core.token_bytes import TokenBytes
from prompts import Piece
from prompts.encoder import Encoder


class Decoder(Protocol):
    """Turns the ids of one reply into text, a few at a time."""

    def push(self, ids: Iterable[int]) -> str:
        """Return the text that these ids complete; "" while a character is incomplete."""
        ...


class Tokens(Protocol):
    """The tokenizer as the conversation needs it."""

    def encode(self, pieces: Sequence[Piece]) -> list[int]:
        """Return the ids of a prompt; plain pieces never give a control token's id."""
        ...

    def decoder(self, shown: Sequence[str] = ()) -> Decoder:
        """Return a decoder for one reply, which leaves out control tokens but those `shown`."""
        ...

    def show(self, ids: Sequence[int]) -> str:
        """Return the text of ids, control tokens visible."""
        ...

    def knows(self, id: int) -> bool:
        """Whether there is a token with this id."""
        ...

    def bytes_of(self, id: int) -> bytes:
        """Return the bytes of text (UTF-8) that a token stands for, of a control token its name."""
        ...

    def remember(self, reply: str, ids: Sequence[int]) -> None:
        """Keep the ids that a reply was generated as, for the prompts after it."""
        ...


class FastTokens(Encoder):
    """`Tokens` on a transformers tokenizer with a Rust backend."""

    def decoder(self, shown: Sequence[str] = ()) -> Decoder:
        """See `Tokens.decoder`."""
        return _StreamDecoder(self.backend, shown, self._special)

    def show(self, ids: Sequence[int]) -> str:
        """See `Tokens.show`."""
        return str(self.backend.decode(ids, skip_special_tokens=False))

    def knows(self, id: int) -> bool:
        """See `Tokens.knows`."""
        return 0 <= id < 2**32 and self.backend.id_to_token(id) is not None

    def bytes_of(self, id: int) -> bytes:
        """See `Tokens.bytes_of`."""
        return self._bytes.of(id)

    @cached_property
    def _special(self) -> frozenset[int]:
        added = self.backend.get_added_tokens_decoder()
        return frozenset(id for id, token in added.items() if token.special)

    @cached_property
    def _bytes(self) -> TokenBytes:
        return TokenBytes(self.backend)


class _StreamDecoder:
    """`tokenizers.decoders.DecodeStream`: linear in the reply, and never half a character."""

    def __init__(self, backend: Tokenizer, shown: Sequence[str], special: Set[int]) -> None:
        self._backend = backend
        #: Of which nothing is shown: a stream would go through all of them with each one more.
        self._special = special
        self._shown = {id: text for text in shown if (id := backend.token_to_id(text)) is not None}
        self._stream = DecodeStream(skip_special_tokens=True)
        self._pending: list[int] = []

    def push(self, ids: Iterable[int]) -> str:
        return "".join(map(self._step, ids))

    def _step(self, id: int) -> str:
        if id in self._shown:
            return self._shown[id]
        if id in self._special:
            return ""
        try:
            text = self._stream.step(self._backend, id)
        except Exception:  # pending bytes came to nothing, and spoil what was given before them
            self._stream = DecodeStream(ids=self._pending, skip_special_tokens=True)
            text = self._stream.step(self._backend, id)
        self._pending = [] if text else [*self._pending, id]
        return text or ""
