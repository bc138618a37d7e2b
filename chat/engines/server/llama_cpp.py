"""How replies are asked of llama.cpp's server, at its own /completion.

It knows no stop ids but the model's own, no shortest length and no regular expressions. The
penalties count the prompt too.

Source: tools/server/README.md and server-context.cpp of llama.cpp.
"""

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from tokenizers import Tokenizer

from chat.core.sampling import Sampling
from chat.core.token_bytes import TokenBytes
from chat.engines.server.dialect import Asked, Body, Said, count, drawing, token_ids
from chat.errors import BadRequest, Broken

#: In this order a token is chosen, as it is by transformers and vLLM.
SAMPLERS = ["penalties", "temperature", "top_k", "top_p", "min_p"]
#: Most ids that are looked for in place of lost ones: of one character, and a few letters before.
MOST_LOST = 4


class LlamaCpp:
    """`llama-server`, with a tokenizer that is the same as the model's.

    It gives no id to a token after which a character is incomplete, only the text with the next
    one; so such ids are found by that text. Where several tokenize it, they are those that begin
    with the longest; the reply is the same, but for the prefix cache.
    """

    title = "llama.cpp"
    path = "/completion"
    beats = False
    supports = frozenset({"choices", "json_schema", "logit_bias"})

    def __init__(self, backend: Tokenizer, window: int) -> None:
        self._backend = backend
        self._window = window

    def check(self, sampling: Sampling) -> None:
        """See `Dialect.check`."""
        if sampling.tied and sampling.min_new_tokens:
            raise BadRequest(
                "Min new tokens cannot be used for a reply that has to fit something, with the "
                "server that runs the model.",
                "min_new_tokens",
            )

    def parts(self, sampling: Sampling) -> list[Sampling]:
        """See `Dialect.parts`: of what must not end, and of the rest."""
        if not (shortest := sampling.min_new_tokens):
            return [sampling]
        first = sampling.model_copy(update={"max_new_tokens": shortest})
        return [first, sampling.less(shortest).numbered(shortest)]

    def body(self, asked: Asked) -> Body:
        """See `Dialect.body`."""
        sampling = asked.sampling
        biases: list[list[Any]] = [[id, bias] for id, bias in sampling.logit_bias.items()]
        if sampling.min_new_tokens:
            biases += [[id, False] for id in sorted(asked.stop_ids)]
        body: Body = {
            "prompt": list(asked.prompt),
            "stream": True,
            "return_tokens": True,
            "cache_prompt": True,
            "timings_per_token": True,
            "n_predict": sampling.max_new_tokens,
            **drawing(sampling),
            "samplers": SAMPLERS,
            "mirostat": 0,
            "dynatemp_range": 0,
            "repeat_penalty": sampling.repetition_penalty,
            "repeat_last_n": self._window,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "seed": -1 if sampling.seed is None else sampling.seed,
            "ignore_eos": bool(sampling.min_new_tokens),
            "logit_bias": biases,
        }
        if sampling.choices:
            body["grammar"] = f"root ::= {' | '.join(map(_literal, sampling.choices))}"
        elif sampling.json_schema:
            body["grammar"] = re.sub(r"\\(.)", _escape, sampling.grammar_to_fit)
        return body

    def reader(self, sampling: Sampling) -> Callable[[Mapping[str, Any]], Said]:
        """See `Dialect.reader`."""
        written = 0

        def read(event: Mapping[str, Any]) -> Said:
            nonlocal written
            new, ids = event["tokens_predicted"] - written, token_ids(event["tokens"])
            written += new
            # Before the first token there may be an event with an id that nobody wrote.
            ids = ids[-new:] if new else []
            if ids and new > len(ids):
                ids = self._lost(event["content"].encode(), new - 1, ids[-1]) + ids
            return Said(ids, ended=event["stop"] is True, cached=_cached(event))

        return read

    def _lost(self, content: bytes, count: int, last: int) -> list[int]:
        """Return so many ids that make up the bytes of a text, but for those of its last token."""
        own = self._bytes.of(last)
        if count > MOST_LOST or not content.endswith(own):
            raise Broken
        found = self._split(content[: len(content) - len(own)], count)
        if found is None:
            raise Broken
        return found

    def _split(self, text: bytes, count: int) -> list[int] | None:
        """Return so many ids of tokens that make up `text`, or None if there are none."""
        if not count:
            return None if text else []
        for end in range(len(text) - count + 1, 0, -1):
            if (id := self._ids.get(text[:end])) is None:
                continue
            if (rest := self._split(text[end:], count - 1)) is not None:
                return [id, *rest]
        return None

    @cached_property
    def _bytes(self) -> TokenBytes:
        return TokenBytes(self._backend)

    @cached_property
    def _ids(self) -> dict[bytes, int]:
        """The tokens by their bytes; of two with the same, the first."""
        vocabulary = self._backend.get_vocab(with_added_tokens=False)
        ids = sorted(vocabulary.values(), reverse=True)
        return {self._bytes.of(id): id for id in ids}


def _cached(event: Mapping[str, Any]) -> int | None:
    """Return how much of the prompt lay in the prefix cache, if an event says it."""
    return count((event.get("timings") or {}).get("cache_n"))


def _literal(text: str) -> str:
    """Return a text as a grammar has it (GBNF)."""
    return '"' + "".join(f"\\U{ord(letter):08X}" for letter in text) + '"'


def _escape(match: re.Match[str]) -> str:
    """Return an escape as GBNF knows it, which has fewer than xgrammar's grammars."""
    letter = match[1]
    return match[0] if letter in 'xuUtrn\\"[]' else f"\\U{ord(letter):08X}"
