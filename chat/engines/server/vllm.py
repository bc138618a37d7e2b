"""How replies are asked of vLLM, and of what speaks its dialect but for a few fields.

Sources: vllm/entrypoints/openai/completion/protocol.py (vLLM), and
python/sglang/srt/entrypoints/openai/protocol.py and serving_completions.py (SGLang).
"""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

from chat.core.engine import Scored
from chat.core.sampling import Sampling
from chat.engines.server.dialect import Asked, Body, Said, count, drawing, token_id, token_ids
from chat.errors import FAILED, Broken, EngineError


class VLLM:
    """vLLM from 0.10.2 on. What speaks its dialect differs in a few fields.

    With `grammars` it takes EBNF. Then a JSON schema goes there as one of ours, since its own
    allows white space without end, which small models write until they are cut off.
    """

    title = "vLLM"
    path = "/v1/completions"
    beats = False
    supports = frozenset(
        {"choices", "regex", "json_schema", "logit_bias", "logprobs", "top_logprobs"}
    )

    def __init__(self, *, grammars: bool = False) -> None:
        self._grammars = grammars

    def check(self, sampling: Sampling) -> None:
        """See `Dialect.check`."""

    def parts(self, sampling: Sampling) -> list[Sampling]:
        """See `Dialect.parts`."""
        return [sampling]

    def body(self, asked: Asked) -> Body:
        """See `Dialect.body`."""
        sampling = asked.sampling
        body: Body = {
            "model": asked.model,
            "prompt": list(asked.prompt),
            "stream": True,
            "return_token_ids": True,
            "stop_token_ids": sorted(asked.stop_ids),
            "max_tokens": sampling.max_new_tokens,
            "min_tokens": sampling.min_new_tokens,
            **drawing(sampling),
            "repetition_penalty": sampling.repetition_penalty,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
        }
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        if sampling.logit_bias:
            body["logit_bias"] = {str(id): bias for id, bias in sampling.logit_bias.items()}
        if sampling.logprobs:
            body |= self._scores(sampling)
        if sampling.tied:
            body |= self._ties(sampling)
        return body

    def reader(self, sampling: Sampling) -> Callable[[Mapping[str, Any]], Said]:
        """See `Dialect.reader`."""

        def read(event: Mapping[str, Any]) -> Said:
            if not event["choices"]:  # an event about usage
                return Said([], ended=False, cached=_cached(event))
            [choice] = event["choices"]
            ids = token_ids(choice.get("token_ids") or [])
            if choice.get("text") and not ids:
                raise EngineError(FAILED)
            reason = choice.get("finish_reason")
            if reason not in (None, "stop", "length"):
                raise Broken
            if sampling.logprobs and ids:
                return Said(self._scored(ids, choice["logprobs"], sampling), ended=bool(reason))
            stop = choice.get("stop_reason", choice.get("matched_stop"))
            if reason == "stop" and type(stop) is int and ids[-1:] != [stop]:
                ids.append(token_id(stop))
            return Said(ids, ended=bool(reason))

        return read

    def _scores(self, sampling: Sampling) -> Body:
        # Else it names tokens by their texts, of which several may have the same.
        return {"logprobs": sampling.top_logprobs, "return_tokens_as_token_ids": True}

    def _scored(self, ids: list[int], logprobs: Body, sampling: Sampling) -> list[int]:
        """Return ids with what vLLM says of them; the one chosen comes beside the likeliest."""
        found: list[int] = []
        for id, logprob, top in zip(
            ids, logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True
        ):
            ranked = sorted(
                (-_logprob(other), token_id(int(name.rpartition(":")[2])))
                for name, other in top.items()
            )
            likeliest = tuple((name, -other) for other, name in ranked[: sampling.top_logprobs])
            found.append(Scored(id, _logprob(logprob), likeliest))
        return found

    def _ties(self, sampling: Sampling) -> Body:
        if sampling.choices:
            return {"structured_outputs": {"choice": list(sampling.choices)}}
        if sampling.regex:
            return {"structured_outputs": {"regex": sampling.pattern}}
        if self._grammars:
            return {"structured_outputs": {"grammar": sampling.grammar_to_fit}}
        return {"structured_outputs": {"json": json.loads(sampling.schema_to_fit)}}


class SGLang(VLLM):
    """SGLang; its log probabilities are of tokens by their texts, after the temperature."""

    title = "SGLang"
    supports = frozenset({"choices", "regex", "json_schema", "logit_bias"})

    def body(self, asked: Asked) -> Body:
        """See `Dialect.body`."""
        body = super().body(asked)
        return {**body, "top_k": body["top_k"] or -1}

    def _ties(self, sampling: Sampling) -> Body:
        if sampling.json_schema:
            return {"json_schema": sampling.schema_to_fit}
        return {"regex": sampling.pattern}


class Ours(VLLM):
    """`python -m chat.backend`: one of this app's engines, which says what it obeys."""

    title = "Fourbit Chat"
    beats = True

    def __init__(self, supports: Collection[str]) -> None:
        super().__init__()
        self.supports = frozenset(supports)

    def body(self, asked: Asked) -> Body:
        """See `Dialect.body`."""
        body = super().body(asked)
        if asked.negative:
            body["negative_prompt_ids"] = list(asked.negative)
            body["guidance_scale"] = asked.sampling.guidance_scale
        return body

    def _scores(self, sampling: Sampling) -> Body:
        return {"logprobs": sampling.top_logprobs}

    def _scored(self, ids: list[int], logprobs: Body, sampling: Sampling) -> list[int]:
        both = zip(ids, logprobs["token_logprobs"], logprobs["top"], strict=True)
        return [
            Scored(
                id,
                _logprob(logprob),
                tuple((token_id(other), _logprob(score)) for other, score in top),
            )
            for id, logprob, top in both
        ]

    def _ties(self, sampling: Sampling) -> Body:
        # As they were written: it reads them itself.
        if sampling.choices:
            return {"structured_outputs": {"choice": list(sampling.choices)}}
        if sampling.regex:
            return {"structured_outputs": {"regex": sampling.regex}}
        return {"structured_outputs": {"json": sampling.json_schema}}


def _cached(event: Mapping[str, Any]) -> int | None:
    """Return how much of the prompt lay in the prefix cache, if an event about usage says it."""
    details = (event.get("usage") or {}).get("prompt_tokens_details") or {}
    return count(details.get("cached_tokens"))


def _logprob(value: Any) -> float:
    if type(value) not in (int, float) or value != value:
        raise TypeError
    return float(value)
