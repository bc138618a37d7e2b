"""From the pieces of a prompt to token ids.

The promise that makes prompts safe is kept here: a plain piece never gives the
id of a control token, whatever is written in it, because it is encoded by a
copy of the tokenizer to which those tokens are letters like any others.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import pairwise
from threading import Lock
from typing import Any

from cachetools import LRUCache
from tokenizers import Tokenizer

from prompts.base import (
    Control,
    Ids,
    Piece,
    PromptError,
    Reply,
    any_of,
    control_tokens,
    defuse,
    visible,
)

#: Most bytes that the remembered ids and their texts may take, in each of three memories.
MEMORY = 32_000_000

#: How many more ids a reply may have been generated as than its text is encoded as, to be
#: remembered as those: so many, and this part of them more.
SPARE, MORE = 8, 1.25

NOBODY = "\ue0f3"
"""A private-use character. Eight of them in what someone writes would be dropped."""


class Encoder:
    """Encodes prompts with a transformers `tokenizer` that has a Rust backend.

    It remembers the ids of what it encoded and of what a model generated, so
    that a piece that was there before costs nothing again.

    Raises:
        PromptError: the tokenizer has no Rust backend (no tokenizer.json).
    """

    def __init__(self, tokenizer: Any) -> None:
        if not tokenizer.is_fast:
            raise PromptError("This model has no tokenizer.json, which Fourbit Chat needs.")
        self.backend: Tokenizer = tokenizer.backend_tokenizer
        self.backend.no_truncation()
        self.backend.no_padding()
        self._controls = control_tokens(tokenizer)
        self._plain = _without(self.backend, set(self._controls))
        # What cannot be encoded may become "unknown", a control token, whoever wrote it.
        unknown = self._plain.encode("\U0010fffd", add_special_tokens=False).ids
        ids = map(self.backend.token_to_id, self._controls)
        self._control_ids = {
            id for id in ids if not (id == tokenizer.unk_token_id and id in unknown)
        }
        self._eos: int | None = tokenizer.eos_token_id
        self._control = any_of(self._controls)
        self._encode_whole = any(
            token.lstrip or token.normalized or token.single_word
            for token in tokenizer.added_tokens_decoder.values()
        )
        self._encoded = _Memory()
        self._encoded_control = _Memory()
        self._generated = _Memory()

    def encode(self, pieces: Sequence[Piece]) -> list[int]:
        """Return the ids of a prompt."""
        ids: list[int] = []
        text, control = "", False  # the last piece, to which a reply may still be joined
        joined = False
        for piece in pieces:
            if known := self._known(piece):
                ids += self._encode(text, control=control) + known
                text, joined = "", False
                continue
            kind = piece.control if isinstance(piece, Reply) else isinstance(piece, Control)
            reply = isinstance(piece, Reply)
            if kind != control or not (control or reply or joined):
                ids += self._encode(text, control=control)
                text, control = "", kind
            text += visible(piece)
            joined = reply
        return ids + self._encode(text, control=control)

    def _known(self, piece: Piece) -> list[int] | None:
        if isinstance(piece, Ids):
            return list(piece.ids)
        if not isinstance(piece, Reply):
            return None
        if piece.before.strip():  # which the model has not written with it
            return None
        text = piece.content.strip()
        ids = self._generated.get(text)
        if ids is None or len(ids) <= SPARE + MORE * len(self._encode_plain(text)):
            return ids
        return None

    def _encode(self, text: str, *, control: bool) -> list[int]:
        return self._encode_control(text) if control else self._encode_plain(text)

    def remember(self, reply: str, ids: Sequence[int]) -> None:
        """Keep the ids that a reply was generated as, for the prompts after it.

        With ids of control tokens it is encoded anew; and so it is if it was generated as many
        more than it takes, such as white space without end, which nobody sees: somebody else's
        prompt may have the same reply.
        """
        if reply.strip() and self._control_ids.isdisjoint(ids):
            self._generated.put(reply.strip(), list(ids))

    def stop_ids(self, stop: Iterable[str]) -> set[int]:
        """Return the ids that end a reply: EOS and the control tokens in `stop`."""
        ids = [self._eos, *map(self.backend.token_to_id, stop)]
        return {id for id in ids if id is not None}

    def _encode_control(self, text: str) -> list[int]:
        """Encode in parts that begin with a control token, of which most are known already.

        Control tokens part a text anyway before it is encoded, so that the ids
        are those of the whole; unless it matters to them what stands before.
        """
        starts = [0, *(match.start() for match in self._control.finditer(text)), len(text)]
        if self._encode_whole:
            starts = [0, len(text)]
        ids: list[int] = []
        for start, end in pairwise(starts):
            part = text[start:end]
            if (known := self._encoded_control.get(part)) is None:
                known = _ids(self.backend, part)
                self._encoded_control.put(part, known)
            ids += known
        return ids

    def _encode_plain(self, text: str) -> list[int]:
        if not text:
            return []
        if (ids := self._encoded.get(text)) is None:
            ids = _ids(self._plain, text)
            if not self._control_ids.isdisjoint(ids):
                # The token is in the vocabulary proper too, so only other letters help.
                broken = defuse(text, self._controls)
                ids = _ids(self._plain, broken)
            # What reads as one even so is left out.
            ids = [id for id in ids if id not in self._control_ids]
            self._encoded.put(text, ids)
        return ids


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    try:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)
    except Exception:
        raise
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        # Of Rust, for a pattern that looks too long for what it matches; and no Exception.
        raise PromptError("This model's tokenizer cannot read this text.") from None


class _Memory:
    """Ids by text, bounded; what was not used for longest is forgotten first."""

    def __init__(self) -> None:
        # The text is in the value too, since the size is asked of that alone.
        self._entries: LRUCache[str, tuple[str, list[int]]] = LRUCache(MEMORY, _size)
        self._lock = Lock()  # prompts are composed in several threads

    def get(self, text: str) -> list[int] | None:
        with self._lock:
            entry = self._entries.get(text)
        return entry and entry[1]

    def put(self, text: str, ids: list[int]) -> None:
        with self._lock, suppress(ValueError):  # it is larger than all of the memory
            self._entries[text] = text, ids


def _size(entry: tuple[str, list[int]]) -> int:
    """Return about how many bytes an entry takes."""
    text, ids = entry
    return 4 * len(text) + 40 * len(ids)


def _without(tokenizer: Tokenizer, controls: set[str]) -> Tokenizer:
    """Return the same tokenizer, to which `controls` are letters like any others."""
    state = json.loads(tokenizer.to_str())
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    kept = []
    for token in state["added_tokens"]:
        if token["content"] in controls:
            if token["content"] in vocabulary:
                continue
            # Its place must stay taken, or the tokens after it would get other ids.
            token["content"] = f"{NOBODY * 8}{token['id']}"
        kept.append(token)
    state["added_tokens"] = kept
    return Tokenizer.from_str(json.dumps(state))
