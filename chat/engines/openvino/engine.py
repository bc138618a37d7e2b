"""OpenVINO on the CPU: many replies at once, in a process of its own (see `batcher`)."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Literal, Self

from chat import machine
from chat.core.engine import State
from chat.core.sampling import Sampling
from chat.engines import room
from chat.engines.grammars import too_much
from chat.engines.openvino.judge import Judge
from chat.engines.openvino.wire import BLOCK, Applied, Job, Plan
from chat.engines.remote import Remote
from chat.engines.resume import Begun, going_on
from chat.engines.watchdog import LEAST
from chat.models import config
from chat.models.adapters import WEIGHTS, Adapter, Adapters

#: How many tokens an assistant drafts at a time, and how many of the last ones prompt lookup
#: looks for in the text.
DRAFTED, NGRAM = 4, 3

#: Replies at once, if nobody says how many, also where few long ones fill the KV cache.
LEAST_AT_ONCE = 8

#: All in 32 bits. Neither the others in a batch nor the cache change a token then.
EXACT = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}


class OpenVINOEngine:
    """One OpenVINO model, up to `parallel` replies at once (see `Engine`), or as many as fit.

    `folder` holds the model (openvino_model.xml) and its config.json; `window` is at most
    what the model was trained for, and what the memory has room for. `properties` are
    OpenVINO's. It is loaded from when it is made on, and `start` waits for that.
    With `adapters` each request names one, or has the first. Greedy replies are drafted by a
    smaller model, in the folder `assistant`, or in steps of `prompt_lookup` tokens from the
    text so far, if nobody else is answered when they begin: where they are drawn, or beside
    others, OpenVINO (2026.4.1) fails or writes something else with an assistant.
    All adapters, and drafting, take their own share of the memory, the weights included.

    OpenVINO rounds to 8 and 16 bits, and in a batch, or with another part of the
    prompt in the cache, it rounds elsewhere. So where two tokens are almost
    equally likely, a greedy reply may go on with the other one: with the
    embedded model half of the replies do so within 150 tokens. With `EXACT`
    properties nothing changes a reply, at two thirds of the speed.

    A reply that a process leaves unfinished, since it ended or hung for `watchdog` seconds (see
    `Remote`), goes on in the next one, unless it is tied down, or counts what it has for a
    penalty (see `resume`): OpenVINO takes what is written for a part of the prompt, to which
    neither is held. Of a drawn one the rest is another draw.

    Raises:
        ModelError: the model cannot be loaded, or there is no memory for it.
    """

    def __init__(
        self,
        folder: Path,
        window: int,
        parallel: int | Literal["auto"],
        properties: Mapping[str, Any] | None = None,
        adapters: Adapters | None = None,
        assistant: Path | None = None,
        prompt_lookup: int = 0,
        watchdog: float = LEAST,
    ) -> None:
        settings = config.shape(config.read(folder))
        own = config.eos_ids(settings) | config.eos_ids(config.generation(folder))
        self.stop_ids = frozenset(own)
        # It ties a reply down by the texts of its own copy of the tokenizer's vocabulary.
        constrained = (folder / "openvino_detokenizer.xml").exists()
        ties = ("choices", "regex", "json_schema") if constrained else ()
        self.supports = frozenset({"logprobs", *ties})  # of the tokens written, and no others
        window = min(window, settings.get("max_position_embeddings", window))
        applied = {name: _applied(adapter) for name, adapter in (adapters or {"": None}).items()}
        self._default = next(iter(applied))
        self._drafting: dict[str, int] = {}
        drafting: dict[str, Any] = {}
        if assistant:
            self._drafting = {"num_assistant_tokens": DRAFTED}
            drafting = {"draft_model": str(assistant)}
        elif prompt_lookup:
            self._drafting = {"num_assistant_tokens": prompt_lookup, "max_ngram_size": NGRAM}
            drafting = {"prompt_lookup": True}
        caches = len(applied) * (2 if drafting else 1)
        tokens = tokens_that_fit(settings, parallel, window, caches)
        self.window = min(window, tokens)
        self.parallel = at_once(tokens, window, parallel)
        #: How many tokens the KV cache has room for, and the bytes that it takes.
        self.kv_cache_tokens = tokens
        plan = Plan(
            str(folder),
            # A job's last block, and the one it is ahead, may be all but empty.
            tokens // BLOCK + 2 * self.parallel,
            {"KV_CACHE_PRECISION": "f16", **(properties or {})},
            Job(
                0,
                [min(self.stop_ids, default=0)] * 8,
                self._options(Sampling(max_new_tokens=4, min_new_tokens=4, temperature=0), {}),
                drafting=self._drafting,
            ),
            settings["vocab_size"] if constrained else 0,
            applied,
            drafting,
            self.window // BLOCK + 4,
        )
        self._judge = Judge(folder, plan.vocabulary)
        self._remote = Remote("chat.engines.openvino.batcher", plan, "OpenVINO", watchdog)

    def start(self, stop_ids: Iterable[int]) -> Self:
        """Wait until it can be asked; with the model's own, these ids end a reply.

        Raises:
            ModelError: the model cannot be loaded.
        """
        self.stop_ids |= frozenset(stop_ids)
        self.kv_cache_bytes: int = self._remote.wait().ready
        return self

    @property
    def state(self) -> State:
        """See `Engine.state`."""
        return self._remote.state

    async def admit(self, sampling: Sampling) -> None:
        """See `Engine.admit`."""
        await self._tied(sampling)

    async def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int] = (),
        session: str = "",
    ) -> AsyncGenerator[list[int]]:
        """See `Engine.generate`."""
        ties, size = await self._tied(sampling)
        adapter = sampling.adapter or self._default
        drafting = self._drafting if _drafted(sampling) else {}

        def ask(begun: Begun) -> AsyncGenerator[list[int]]:
            text, options = [*prompt, *begun.ids], self._options(begun.rest(sampling), ties)
            return self._remote.ask(Job(0, text, options, size, adapter, drafting), begun)

        async with aclosing(going_on(ask, sampling, self.stop_ids)) as batches:
            async for ids in batches:
                yield ids

    def close(self) -> None:
        """See `Engine.close`."""
        self._judge.close()
        self._remote.close()

    def _options(self, sampling: Sampling, ties: dict[str, str]) -> dict[str, Any]:
        """Return the arguments of openvino_genai.GenerationConfig."""
        options: dict[str, Any] = {
            "max_new_tokens": sampling.max_new_tokens,
            # What is tied may have nothing left to write before that: OpenVINO makes something up.
            "min_new_tokens": 0 if ties else sampling.min_new_tokens,
            "repetition_penalty": sampling.repetition_penalty,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "eos_token_id": min(self.stop_ids, default=0),
            "stop_token_ids": set(self.stop_ids),
            # Before all that changes the scores, as test_engine.py holds it to.
            "logprobs": int(sampling.logprobs),
        }
        if not sampling.greedy:
            options |= {
                "do_sample": True,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "top_k": sampling.top_k,
                "min_p": sampling.min_p,
                "rng_seed": secrets.randbits(32) if sampling.seed is None else sampling.seed,
            }
        if ties:
            options["structured_output_config"] = ties
        return options

    async def _tied(self, sampling: Sampling) -> tuple[dict[str, str], int]:
        """Return what ties a reply down, and the bytes that takes once it is compiled."""
        if not sampling.tied:
            return {}, 0
        # A schema may take seconds to be put together.
        ties = await asyncio.to_thread(_ties, sampling)
        size = await self._judge.size(ties)
        if size is None:
            raise too_much(sampling)
        return ties, size


def _ties(sampling: Sampling) -> dict[str, str]:
    """Return the arguments of openvino_genai.StructuredOutputConfig."""
    if pattern := sampling.pattern:
        return {"regex": pattern}
    return {"grammar": sampling.grammar_to_fit}


def _applied(adapter: Adapter | None) -> Applied | None:
    return adapter and Applied(str(adapter.folder / WEIGHTS), adapter.scale)


def _drafted(sampling: Sampling) -> bool:
    """Whether drafting leaves a reply as it is; by prompt lookup a shortest length is not kept."""
    return sampling.greedy and not sampling.needs() and not sampling.min_new_tokens


def at_once(tokens: int, window: int, parallel: int | Literal["auto"]) -> int:
    """Return how many replies are written at once; each has as much of the cache as it needs."""
    return room.replies(tokens, window, parallel, least=LEAST_AT_ONCE)


def tokens_that_fit(
    settings: Mapping[str, Any], parallel: int | Literal["auto"], window: int, caches: int
) -> int:
    """Return for how many tokens each of the KV caches has memory, at most as many as are of use.

    Raises:
        ModelError: they are too few.
    """
    free, size = machine.free_memory(), config.token_bytes(settings) * caches
    room.require(free, size, window, "memory", gpu=False)
    return room.pool_tokens(free, size, window, parallel, gpu=False)
