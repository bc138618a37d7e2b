"""The process's beginning: from a plan to a model whose replies can be batched.

What transformers does not document is used here (an attention of our own, a cache of our own),
and on cards that its makers have not seen. So each way is tried on a short text beside the
model's own, and the slower ones are there for where the quicker ones fail.
"""

import logging
import time
from collections.abc import Callable, Sequence
from pkgutil import resolve_name
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from chat.engines import room
from chat.engines.batched import norms
from chat.engines.batched.attend import Attention, Flash, RowByRow
from chat.engines.batched.batcher import Batcher, Run
from chat.engines.batched.drafts import Assistant, Drafter, Lookup
from chat.engines.batched.graphs import Graphs
from chat.engines.batched.passes import New, Passes
from chat.engines.batched.pool import PoolCache, Shape, bytes_per_token
from chat.engines.batched.ranges import Range
from chat.engines.batched.wire import Plan, Ready
from chat.engines.entry import same_vocabulary
from chat.engines.process import work
from chat.engines.transformers.assistant import fit
from chat.engines.transformers.cpu.linear import call_kernels_directly
from chat.engines.transformers.cpu.threads import decoding_threads, use
from chat.engines.transformers.guide import Guide
from chat.engines.transformers.kv_cache import growing_layers
from chat.engines.transformers.ready import limits, require_numbers
from chat.errors import UnfitModel
from chat.models import adapters
from chat.models.quantize import free_memory, kind_of_memory

#: Tokens of prompts that are read in one pass, between which everybody gets a token.
PARTS = {"cuda": 1024, "cpu": 256}
#: How much two ways may differ in what they compute, as a share of the highest score.
CLOSE = {torch.float32: 1e-3, torch.float16: 0.05, torch.bfloat16: 0.1}
#: A text to try them with, of ids that every model has; and how many of them are read first.
TRIED, FIRST = tuple(range(3, 40)), 20

UNFIT = "its attention is of another kind"
#: Tokens of one text in a pass up to which it is decoded; of more, a prompt is read.
DECODED = 8

log = logging.getLogger(__name__)


class Tried(NamedTuple):
    """A model, and what it gives for a short text by itself."""

    model: PreTrainedModel
    #: Its scores, [vocabulary].
    scores: Tensor
    #: What its layers keep of a token.
    shapes: list[Shape]


def load(plan: Plan) -> tuple[Batcher, Ready]:
    """Return what answers, and what is to be said of it.

    Raises:
        ModelError: the files cannot be used, the memory does not suffice, or the model cannot be
            run so.
    """
    use(plan.threads)
    loader = resolve_name(plan.loader)
    tokenizer, model = loader(plan.source, plan.cache)
    named = adapters.read(plan.adapter)
    lora = None
    if named:
        from chat.models.lora import Lora

        lora = Lora(model, named)
    models = [tried(model)]
    if plan.assistant:
        other, assistant = loader(plan.assistant, plan.cache)
        same_vocabulary(tokenizer, other)
        fit(assistant, model.config.get_text_config().vocab_size)
        models.append(tried(assistant))
    stop_ids, window = limits(model, (), plan.window)
    tokens = _tokens(models, plan, window)
    window = min(window, tokens)
    parallel = room.replies(tokens, window, plan.parallel)
    (passes, pool), *others = [pooled(one, tokens) for one in models]
    part = PARTS.get(model.device.type, PARTS["cpu"])
    drafter: Drafter | None = Lookup(plan.prompt_lookup) if plan.prompt_lookup else None
    for smaller, its_pool in others:
        longest = getattr(assistant.config.get_text_config(), "max_position_embeddings", tokens)
        drafter = Assistant(smaller, its_pool, part, longest)
    guide = Guide(tokenizer, model.config.get_text_config().vocab_size)
    guide.read()
    batcher = Batcher(passes, pool, parallel, part, guide, lora, drafter)
    if model.device.type == "cpu":
        batcher.run = _threaded(batcher)
    graphs = None if drafter or len(named) > 1 else _graphs(models[0], passes, tokens, parallel)
    if graphs:
        batcher.run = graphs.run
    batcher.longest = part * _seconds(batcher.run)
    own = model.generation_config
    ready = Ready(
        tokenizer,
        own.to_diff_dict() if own else {},
        stop_ids,
        window,
        parallel,
        tuple(named),
        tokens,
        pool.nbytes + sum(other.nbytes for _, other in others),
        type(passes.attention).__name__,
        graphs.rows if graphs else (),
    )
    return batcher, ready


def tried(model: PreTrainedModel) -> Tried:
    """Have a model read the text by itself, which is also its warm-up.

    Raises:
        ModelError: its keys and values cannot be kept in a pool, or what it computes are no
            numbers.
    """
    layers = growing_layers(model)
    if not layers:
        raise UnfitModel(UNFIT)
    ids = torch.tensor([_text(model)], device=model.device)
    with torch.inference_mode():
        output = model(ids, use_cache=True)
    require_numbers(output.logits)
    call_kernels_directly(model)
    _quicken(model)
    kept = [(layer.keys, layer.values) for layer in output.past_key_values.layers]
    shapes = [Shape(keys.shape[1], keys.shape[3], values.shape[3]) for keys, values in kept]
    return Tried(model, output.logits[0, -1].float(), shapes)


def _quicken(model: PreTrainedModel) -> None:
    """Have a card's layers use quicker kernels, where there are any that give the same."""
    if not newer_card(model.device):
        return
    norms.fuse(model)
    try:
        from chat.engines.batched.linear import quicken

        quicken(model)
    except Exception as error:  # of a compiler that is not there, or a card that it does not know
        log.warning("4-bit layers as bitsandbytes has them, more slowly (%s).", _why(error))


def pooled(one: Tried, tokens: int) -> tuple[Passes, PoolCache]:
    """Return the model over a pool, by the quickest attention that gives what its own gives.

    Raises:
        UnfitModel: none does.
    """
    model, _, shapes = one
    pool = PoolCache(shapes, tokens, model.dtype, model.device)
    passes = Passes(model, pool, RowByRow())
    ways: list[Callable[[], Attention]] = [RowByRow]
    if newer_card(model.device):
        ways.insert(0, lambda: Flash(tokens))
    for way in ways:
        try:
            passes.attention = way()
            if _alike(passes.run, one):
                return passes, pool
            log.warning("A way to attend gives something else here.")
        except Exception as error:  # of kernels that a card or a build of torch has not
            log.warning("A way to attend fails here (%s).", _why(error))
    raise UnfitModel(UNFIT)


def _graphs(one: Tried, passes: Passes, tokens: int, parallel: int) -> Graphs | None:
    """Return the decoding steps as CUDA graphs, if they can be, and give the same."""
    if isinstance(passes.attention, RowByRow):
        return None
    ids = _text(one.model)
    last = New(Range(0, len(ids), length=len(ids) - 1), ids[-1:], 1)
    try:
        graphs = Graphs(passes, tokens, parallel, one.model.device)
        passes.run([New(Range(0, len(ids)), ids[:-1], 0)])
        alike = all(_close(graphs.run([last] * rows), one) for rows in graphs.rows)
    except RuntimeError as error:
        log.warning("Without CUDA graphs, more slowly (%s).", _why(error))
        return None
    if not alike:
        log.warning("Without CUDA graphs, more slowly (they give something else).")
    return graphs if alike else None


def _threaded(batcher: Batcher) -> Run:
    """Return what runs a pass on a CPU, with as many threads as pay (see `decoding_threads`)."""
    run, every = batcher.run, torch.get_num_threads()

    def decode(tokens: int, threads: int) -> None:
        torch.set_num_threads(threads)
        for _ in range(tokens):
            run([New(Range(0, 1), [0], 1)])

    few = decoding_threads(every, decode)

    def threaded(news: Sequence[New]) -> Tensor:
        reads = any(len(new.ids) > DECODED for new in news)
        torch.set_num_threads(every if reads else few)
        return run(news)

    return threaded


def _seconds(run: Run) -> float:
    """Return how long a pass over one token takes, by the second one."""
    for _ in range(2):
        begun = time.monotonic()
        run([New(Range(0, 1), [0], 1)]).argmax().item()
    return time.monotonic() - begun


def _alike(run: Run, right: Tried) -> bool:
    """Whether passes over a pool give such scores after a text: in parts, beside another one."""
    ids = _text(right.model)
    one, other = Range(0, len(ids)), Range(len(ids), len(ids))
    for news in (
        [New(one, ids[:FIRST], 0)],
        [New(one, ids[FIRST:-1], 1), New(other, ids[:-1], 1)],
        [New(one, ids[-1:], 1), New(other, ids[-1:], 1)],
    ):
        found = run(news)
        for new in news:
            new.range.length += len(new.ids)
    return _close(found, right)


def _close(found: Tensor, right: Tried) -> bool:
    """Whether scores ([texts, vocabulary]) are those of a model by itself, but for rounding."""
    scores = right.scores
    close = CLOSE.get(right.model.dtype, CLOSE[torch.bfloat16])
    return bool((found - scores).abs().max() <= close * scores.abs().max())


def _why(error: Exception) -> str:
    """Return an error in one line, with its own words: nobody has written anything yet."""
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first[:200]}"


def _text(model: PreTrainedModel) -> list[int]:
    vocabulary = model.config.get_text_config().vocab_size
    return [id % vocabulary for id in TRIED]


def newer_card(device: torch.device) -> bool:
    """Whether FlashAttention runs there."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def _tokens(models: list[Tried], plan: Plan, window: int) -> int:
    """Return for how many tokens the pool has room.

    Raises:
        ModelError: they are too few to be of use.
    """
    if plan.tokens:
        return plan.tokens
    per_token = sum(bytes_per_token(one.shapes, one.model.dtype) for one in models)
    gpu, free = models[0].model.device.type == "cuda", free_memory(0)
    room.require(free, per_token, window, kind_of_memory(), gpu=gpu)
    return room.pool_tokens(free, per_token, window, plan.parallel, gpu=gpu)


if __name__ == "__main__":
    work(load)
