"""What of transformers is used and not documented: the names, the signatures, the behaviour.

After an upgrade this fails first. Each line says which file uses what has changed, and for what.
"""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    DynamicCache,
    GenerationConfig,
    GenerationMixin,
    PreTrainedModel,
    core_model_loading,
)
from transformers.cache_utils import CacheLayerMixin
from transformers.quantizers import quantizer_bnb_4bit

from chat.engines.transformers import undocumented
from chat.engines.transformers.kv_cache import GrowingCache
from chat.engines.transformers.undocumented import attention_of, is_4_bit, read_only_new_tokens
from tests.support import tiny_models

HERE = "chat/engines/transformers"
ATTENTION = f"{HERE}/attention.py falls back on it, and does the same for one token"
LAYER = f"{HERE}/kv_cache.py overrides it, to grow in place"
CROP = f"{HERE}/kv_cache.py cuts a cache back with it"
LOOKUP = f"{HERE}/undocumented.py wraps it, so that prompt lookup reads only what is new"

#: What it is, its parameters as they are in the version that is pinned, and what it is for.
SIGNATURES: list[tuple[Callable[..., Any], str, str]] = [
    (
        undocumented.sdpa_attention_forward,
        "module, query, key, value, attention_mask, dropout=0.0, scaling=None, is_causal=None, "
        "position_bias=None, cache=None, **kwargs",
        ATTENTION,
    ),
    (undocumented.DynamicLayer.__init__, "self, **kwargs", LAYER),
    (undocumented.DynamicLayer.lazy_initialization, "self, key_states, value_states", LAYER),
    (undocumented.DynamicLayer.update, "self, key_states, value_states, *args, **kwargs", LAYER),
    (undocumented.DynamicLayer.crop, "self, tokens_to_remove", CROP),
    (
        undocumented.DynamicLayer.get_seq_length,
        "self",
        f"{HERE}/kv_cache.py asks it for its length",
    ),
    (
        undocumented.Cache.__init__,
        "self, layers=None, layer_class_to_replicate=None, offloading=False, "
        "offload_only_non_sliding=True",
        f"{HERE}/kv_cache.py gives it the layers of its own",
    ),
    (
        GenerationMixin.prepare_inputs_for_generation,
        "self, input_ids, next_sequence_length=None, past_key_values=None, attention_mask=None, "
        "inputs_embeds=None, is_first_iteration=False, **kwargs",
        LOOKUP,
    ),
]


def parameters(function: Callable[..., Any]) -> str:
    """Return the parameters of a function as they are written, without types."""
    signature = inspect.signature(function)
    bare = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
    return str(inspect.Signature(bare))[1:-1]


@pytest.mark.parametrize(
    ("function", "expected", "use"),
    SIGNATURES,
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_the_signature_is_what_it_was(
    function: Callable[..., Any], expected: str, use: str
) -> None:
    found = parameters(function)
    assert found == expected, f"transformers {transformers.__version__}: {use}"


def test_a_models_attention_has_a_name_that_can_be_read_and_set() -> None:
    use = f"{HERE}/attention.py asks for it: only torch's is replaced"
    model = tiny_models.llama()
    assert attention_of(model) == "sdpa", use
    assert attention_of(tiny_models.llama(attn_implementation="eager")) == "eager", use
    assert AttentionInterface()["sdpa"] is undocumented.sdpa_attention_forward, use
    assert AttentionMaskInterface()["sdpa"] is undocumented.sdpa_mask, use


def test_a_model_in_4_bits_says_so() -> None:
    use = f"{HERE}/cpu/linear.py asks for it, before it looks for bitsandbytes' layers"
    assert '"is_loaded_in_4bit", True' in inspect.getsource(quantizer_bnb_4bit), use
    model = tiny_models.llama()
    assert not is_4_bit(model)
    model.is_loaded_in_4bit = True
    assert is_4_bit(model)


def test_a_layer_of_a_cache_has_what_ours_fills() -> None:
    layer = undocumented.DynamicLayer()
    assert isinstance(layer, CacheLayerMixin)
    assert (layer.is_initialized, layer.keys, layer.values) == (False, None, None), LAYER
    states = torch.zeros(1, 2, 3, 4)
    layer.update(states, states)
    assert layer.is_initialized, LAYER
    assert layer.keys.shape == layer.values.shape == states.shape, LAYER
    layer.crop(-1)
    assert layer.keys.shape == (1, 2, 2, 4), CROP


def test_a_cache_for_a_config_has_a_layer_of_its_kind_for_each() -> None:
    use = f"{HERE}/kv_cache.py tells from it which models attend to all tokens before each one"
    kinds = {type(layer) for layer in DynamicCache(config=tiny_models.llama().config).layers}
    assert kinds == {undocumented.DynamicLayer}, use
    sliding = {type(layer) for layer in DynamicCache(config=tiny_models.sliding().config).layers}
    assert undocumented.DynamicLayer not in sliding, use
    assert sliding == {undocumented.DynamicSlidingWindowLayer}, use
    hybrid = DynamicCache(config=tiny_models.family("qwen3-next", 128).config).layers
    known = {undocumented.DynamicLayer, undocumented.DynamicSlidingWindowLayer}
    assert not {type(layer) for layer in hybrid} <= known, use


def test_what_a_model_keeps_in_float32_has_names() -> None:
    use = "chat/models/quantize.py leaves it so, where it casts what is beside quantized layers"
    model = tiny_models.family("gpt-oss", 128)
    assert "post_attention_layernorm" in (model._keep_in_fp32_modules or ()), use
    assert not model._keep_in_fp32_modules_strict, use


def test_loading_can_be_kept_to_one_thread() -> None:
    use = "chat/space.py sets it for ZeroGPU, which plays a GPU on one thread alone"
    assert "HF_DEACTIVATE_ASYNC_LOAD" in inspect.getsource(core_model_loading), use


PROMPT = [1, 2, 3, 4, 5, 2, 3] * 5


def write(
    model: PreTrainedModel, prompt: list[int], drafts: int | None, cache: GrowingCache | None
) -> list[int]:
    ids = torch.tensor([prompt])
    config = GenerationConfig(
        max_new_tokens=20,
        do_sample=False,
        repetition_penalty=1.1,
        prompt_lookup_num_tokens=drafts,
    )
    with torch.inference_mode():
        whole = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            generation_config=config,
            past_key_values=cache,
        )
    return whole[0, len(prompt) :].tolist()


@pytest.mark.parametrize("make", [tiny_models.llama, tiny_models.gpt2])
@pytest.mark.parametrize("held", [0, 1, 20, len(PROMPT) - 1])
@pytest.mark.parametrize("drafts", [1, 4, 10])
def test_prompt_lookup_on_a_warm_cache_writes_what_plain_decoding_does(
    make: Callable[[], PreTrainedModel], held: int, drafts: int
) -> None:
    model = make()
    expected = write(make(), PROMPT, None, None)
    read_only_new_tokens(model)
    cache = GrowingCache.empty(2)
    write(model, PROMPT, None, cache)
    cache.cut(held)
    assert write(model, PROMPT, drafts, cache) == expected
    # All but the last token have been read, and nothing that was only drafted is left.
    assert cache.length == len(PROMPT) + len(expected) - 1
