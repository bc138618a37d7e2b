"""The growing cache beside transformers' own."""

from collections.abc import Callable

import pytest
import torch
from transformers import (
    DeepseekV3Config,
    DynamicCache,
    FalconConfig,
    MambaConfig,
    PreTrainedConfig,
    Qwen3NextConfig,
)

from chat.engines.transformers.kv_cache import (
    CHUNK,
    GrowingCache,
    growing_layers,
    token_bytes,
)
from chat.engines.transformers.undocumented import DynamicLayer
from tests.support import families, tiny_models


def states(tokens: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    # Heads last but one, as models have them before they transpose.
    keys = torch.randn(1, tokens, 2, 4, generator=generator).transpose(1, 2)
    return keys, -keys


def fill(cache: GrowingCache, *lengths: int, layers: tuple[int, ...] = (0, 1)) -> None:
    for seed, tokens in enumerate(lengths):
        for layer in layers:
            cache.update(*states(tokens, seed), layer)


def test_it_returns_what_a_dynamic_cache_returns_while_both_grow_and_are_cropped() -> None:
    ours, theirs = GrowingCache.empty(2), DynamicCache()
    for seed, (tokens, removed) in enumerate(
        [(3, 0), (1, 0), (CHUNK, 5), (1, 0), (2 * CHUNK, CHUNK), (7, 7), (1, 0)]
    ):
        for layer in range(2):
            pairs = zip(
                ours.update(*states(tokens, seed), layer),
                theirs.update(*states(tokens, seed), layer),
                strict=True,
            )
            assert all(torch.equal(our, their) for our, their in pairs)
        ours.crop(-removed)
        theirs.crop(-removed)
        assert ours.get_seq_length() == theirs.get_seq_length() == ours.length


def test_a_token_is_written_without_moving_the_others() -> None:
    cache = GrowingCache.empty(1)
    fill(cache, 5, layers=(0,))
    before = cache.layers[0].keys.data_ptr()
    fill(cache, *[1] * (CHUNK - 5), layers=(0,))
    assert cache.layers[0].keys.data_ptr() == before
    fill(cache, 1, layers=(0,))
    assert cache.layers[0].keys.data_ptr() != before


def test_what_was_reserved_is_room_that_moves_once() -> None:
    cache = GrowingCache.empty(1)
    cache.reserve(5 * CHUNK)
    fill(cache, 5, layers=(0,))
    before = cache.layers[0].keys.data_ptr()
    fill(cache, *[1] * 4 * CHUNK, layers=(0,))
    assert cache.layers[0].keys.data_ptr() == before
    assert cache.nbytes == 5 * cache.copy(CHUNK).nbytes


def test_what_was_not_reserved_is_copied_ever_less_often() -> None:
    cache = GrowingCache.empty(1)
    fill(cache, 16 * CHUNK, layers=(0,))
    places = set()
    for _ in range(16 * CHUNK):
        fill(cache, 1, layers=(0,))
        places.add(cache.layers[0].keys.data_ptr())
    assert len(places) <= 4
    assert cache.nbytes <= 1.3 * cache.copy(cache.length).nbytes


def test_trimming_gives_back_what_is_not_filled_and_nothing_else() -> None:
    cache = GrowingCache.empty(2)
    cache.reserve(9 * CHUNK)
    fill(cache, 5, CHUNK)
    kept = cache.layers[1].values.clone()
    cache.trim()
    assert cache.nbytes == cache.copy(cache.length).nbytes
    assert torch.equal(cache.layers[1].values, kept)
    before = cache.layers[1].values.data_ptr()
    cache.trim()
    fill(cache, 1)
    assert cache.layers[1].values.data_ptr() == before, "a chunk is the least"
    assert torch.equal(cache.layers[1].values[..., :-1, :], kept)
    GrowingCache.empty(2).trim()


def test_a_copy_has_the_room_that_it_is_to_have() -> None:
    cache = GrowingCache.empty(2)
    fill(cache, 5)
    copy = cache.copy(3, 2 * CHUNK)
    before = copy.layers[0].keys.data_ptr()
    fill(copy, 2 * CHUNK - 3)
    assert copy.layers[0].keys.data_ptr() == before


def test_type_and_device_are_those_of_the_states() -> None:
    cache = GrowingCache.empty(1)
    keys, values = (part.bfloat16() for part in states(3, 0))
    cache.update(keys, values, 0)
    assert cache.layers[0].keys.dtype == torch.bfloat16
    assert cache.nbytes == 2 * 2 * CHUNK * 4 * 2  # keys and values, heads, tokens, size, bytes


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_on_a_gpu_it_stays_there() -> None:
    cache = GrowingCache.empty(1)
    cache.update(*(part.cuda() for part in states(3, 0)), 0)
    assert cache.layers[0].keys.device.type == cache.copy(2).layers[0].keys.device.type == "cuda"


def test_its_length_is_what_every_layer_holds() -> None:
    cache = GrowingCache.empty(2)
    fill(cache, 5, layers=(0,))
    assert cache.length == 0
    fill(cache, 3, layers=(1,))
    assert cache.length == 3


def test_a_cut_brings_all_layers_to_one_length() -> None:
    cache = GrowingCache.empty(2)
    fill(cache, 5)
    fill(cache, 2, layers=(0,))
    cache.cut(4)
    assert [layer.get_seq_length() for layer in cache.layers] == [4, 4]
    cache.cut(9)
    assert cache.length == 4


def test_a_copy_and_its_original_do_not_write_into_each_other() -> None:
    cache = GrowingCache.empty(2)
    fill(cache, 5)
    copy = cache.copy(3)
    assert torch.equal(copy.layers[1].values, cache.layers[1].values[..., :3, :])
    kept = cache.layers[0].keys.clone()
    fill(copy, 2, 2)
    assert torch.equal(cache.layers[0].keys, kept)


@pytest.mark.parametrize(
    ("make", "layers"),
    [
        (tiny_models.llama, 2),
        (tiny_models.gpt2, 2),
        (tiny_models.sliding, 2),
        (tiny_models.growing_rope, 0),
    ],
)
def test_only_models_whose_keys_stay_the_same_can_have_one(make, layers) -> None:
    assert growing_layers(make()) == layers


#: Of which each layer, or each head, keeps something else than in most models.
ODD: dict[str, Callable[[], PreTrainedConfig]] = {
    "multi-query": lambda: FalconConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=4),
    "multi-query in groups": lambda: FalconConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_kv_heads=2,
        new_decoder_architecture=True,
    ),
    "latent": lambda: DeepseekV3Config(
        **families.SHAPE | {"num_key_value_heads": 4},
        moe_intermediate_size=32,
        n_routed_experts=4,
        num_experts_per_tok=2,
        q_lora_rank=16,
        kv_lora_rank=16,
        qk_nope_head_dim=16,
        qk_rope_head_dim=8,
        v_head_dim=24,
        n_group=1,
        topk_group=1,
        first_k_dense_replace=1,
    ),
    "one layer in two": lambda: Qwen3NextConfig(
        **families.SHAPE,
        layer_types=["linear_attention", "full_attention"],
        head_dim=16,
        num_experts=2,
        num_experts_per_tok=1,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=32,
        linear_num_value_heads=4,
        linear_num_key_heads=2,
        linear_key_head_dim=16,
        linear_value_head_dim=16,
    ),
    "recurrent": lambda: MambaConfig(hidden_size=64, num_hidden_layers=2),
}


@pytest.mark.parametrize(
    "make",
    [*families.PLAIN.values(), *(make for make, _ in families.OTHERS.values()), *ODD.values()],
    ids=[*families.PLAIN, *families.OTHERS, *ODD],
)
def test_the_bytes_of_a_token_are_those_that_a_model_keeps(
    make: Callable[[], PreTrainedConfig],
) -> None:
    config = make()
    config.vocab_size = 300
    with torch.inference_mode():
        output = families.model(config)(torch.arange(5)[None])
    cache = getattr(output, "past_key_values", None)
    layers = cache.layers if cache else []
    kept = [layer for layer in layers if isinstance(layer, DynamicLayer)]
    had = sum(layer.keys.nbytes + layer.values.nbytes for layer in kept)
    assert token_bytes(config, torch.float32) * 5 == had
