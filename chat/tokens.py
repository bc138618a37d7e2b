"""Between text and token ids: pieces to ids on the way in, ids to text on the way out."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from chat.errors import ModelError
from prompts import Control, Piece, control_tokens
from prompts.base import defuse


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

    def decoder(self) -> Decoder:
        """Return a decoder for one reply, which leaves control tokens out."""
        ...


class FastTokens:
    """`Tokens` on a transformers tokenizer with a Rust backend."""

    def __init__(self, tokenizer: Any) -> None:
        if not tokenizer.is_fast:
            raise ModelError("This model has no tokenizer.json, which Fourbit Chat needs.")
        self._backend: Tokenizer = tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        self._controls = sorted(control_tokens(tokenizer), key=len, reverse=True)
        ids = map(self._backend.token_to_id, self._controls)
        # What cannot be encoded at all becomes "unknown", whoever wrote it.
        self._control_ids = {id for id in ids if id != tokenizer.unk_token_id}
        self._eos: int | None = tokenizer.eos_token_id
        self._plain = _without(self._backend, set(self._controls))

    def encode(self, pieces: Sequence[Piece]) -> list[int]:
        """See `Tokens.encode`."""
        ids: list[int] = []
        for piece in pieces:
            if isinstance(piece, Control):
                ids += self._backend.encode(piece.text, add_special_tokens=False).ids
            else:
                ids += self._encode_plain(piece)
        return ids

    def _encode_plain(self, text: str) -> list[int]:
        ids: list[int] = self._plain.encode(text, add_special_tokens=False).ids
        if self._control_ids.isdisjoint(ids):
            return ids
        # The token is in the vocabulary proper too, so only other letters help.
        ids = self._plain.encode(defuse(text, self._controls), add_special_tokens=False).ids
        # And where those read alike, as `＜` and `<` do under NFKC, only leaving it out.
        return [id for id in ids if id not in self._control_ids]

    def stop_ids(self, stop: Iterable[str]) -> set[int]:
        """Return the ids that end a reply: EOS and the control tokens in `stop`."""
        ids = [self._eos, *(self._backend.token_to_id(token) for token in stop)]
        return {id for id in ids if id is not None}

    def decoder(self) -> Decoder:
        """See `Tokens.decoder`."""
        return _StreamDecoder(self._backend)


class _StreamDecoder:
    """`tokenizers.decoders.DecodeStream`: linear in the reply, and never half a character."""

    def __init__(self, backend: Tokenizer) -> None:
        self._backend = backend
        self._stream = DecodeStream(skip_special_tokens=True)
        self._pending: list[int] = []

    def push(self, ids: Iterable[int]) -> str:
        return "".join(map(self._step, ids))

    def _step(self, id: int) -> str:
        try:
            text = self._stream.step(self._backend, id)
        except Exception:  # pending bytes came to nothing, and spoil what was given before them
            self._stream = DecodeStream(ids=self._pending, skip_special_tokens=True)
            text = self._stream.step(self._backend, id)
        self._pending = [] if text else [*self._pending, id]
        return text or ""


def _without(tokenizer: Tokenizer, controls: set[str]) -> Tokenizer:
    """Return the same tokenizer, to which `controls` are letters like any others."""
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [
        token for token in state["added_tokens"] if token["content"] not in controls
    ]
    state["post_processor"] = None
    return Tokenizer.from_str(json.dumps(state))
