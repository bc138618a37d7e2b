"""What of transformers and torch the batched engine uses that they do not document, or in part.

After an upgrade this fails first. Each line says which file uses what has changed, and for what.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer

from chat.engines.batched.pool import PoolCache
from tests.engines.transformers.test_undocumented import parameters
from tests.support import tiny_models
from tests.support.batched import VOCABULARY, fresh, pooled

HERE = "chat/engines/batched"
#: Families whose attention is told something, and what it is.
TOLD = {
    "mistral": "sliding_window",
    "gemma-3": "sliding_window",
    "gemma-2": "softcap",
    "gpt-oss": "s_aux",
}
TEXT = [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]


def asked(
    model: PreTrainedModel,
    name: str,
    ids: Sequence[int] = TEXT,
    cache: Cache | None = None,
    **given: Any,
) -> list[dict[str, Any]]:
    """Return what an attention of this name, which no mask has, is asked by each layer of `model`.

    It gives each token its own queries.
    """
    calls: list[dict[str, Any]] = []

    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, **rest: Any
    ) -> tuple[Tensor, None]:
        calls.append({"query": query, "key": key, "value": value, "mask": mask, **rest})
        return query.transpose(1, 2), None

    AttentionInterface.register(name, attend)
    model.set_attn_implementation(name)
    with torch.inference_mode():
        model(
            input_ids=torch.tensor([ids]),
            past_key_values=cache,
            use_cache=cache is not None,
            **given,
        )
    return calls


def made(name: str) -> PreTrainedModel:
    if name == "gemma-2":
        return tiny_models.family("gemma-3", VOCABULARY, model_type="gemma2")
    return fresh(name)


@pytest.mark.parametrize("name", ["llama-3", "gpt2", *TOLD])
def test_an_attention_whose_name_has_no_mask_gets_none(name: str) -> None:
    use = f"{HERE}/passes.py: else a mask of the pool's whole length is made, of nobody's tokens"
    calls = asked(made(name), "maskless")
    assert len(calls) == 2
    assert {call["mask"] for call in calls} == {None}, use


@pytest.mark.parametrize(("name", "word"), TOLD.items())
def test_what_an_attention_has_to_obey_it_is_told_by_name(name: str, word: str) -> None:
    use = f"{HERE}/passes.py obeys a window, and refuses a model with a cap or with sinks"
    told = [call.get(word) for call in asked(made(name), "told")]
    assert any(value is not None for value in told), use


def test_each_tokens_position_is_the_one_that_is_given() -> None:
    use = f"{HERE}/passes.py puts texts one after another in a row, each with its own positions"
    positions = torch.tensor([[0, 1, 2, 0, 1, 9]])
    first, _ = asked(fresh("llama-3"), "positions", [5, 6, 7] * 2, position_ids=positions)
    one, other = first["query"][0].transpose(0, 1).split(3)
    same = [torch.allclose(*pair, atol=1e-6) for pair in zip(one, other, strict=True)]
    assert same == [True, True, False], use


@pytest.mark.parametrize("name", ["llama-3", "gpt2", *tiny_models.POOLED])
def test_scores_are_those_of_the_places_that_are_asked_for(name: str) -> None:
    use = f"{HERE}/passes.py asks for those of the last tokens of each text"
    model, ids, places = fresh(name), torch.tensor([TEXT]), torch.tensor([2, 7, 11])
    with torch.inference_mode():
        every = model(input_ids=ids).logits
        some = model(input_ids=ids, logits_to_keep=places).logits
    torch.testing.assert_close(some, every[:, places], msg=use)


@pytest.mark.parametrize("name", ["llama-3", "gpt2", "gemma-3"])
def test_an_attention_gets_what_a_cache_returns_as_it_is(name: str) -> None:
    use = f"{HERE}/pool.py returns the whole pool, which has another shape"
    model = fresh(name)
    _, pool = pooled(model, 50)
    pool.places = torch.arange(20, 20 + len(TEXT))
    calls = asked(model, "pooled", TEXT, pool, position_ids=torch.arange(len(TEXT))[None])
    for call, layer in zip(calls, pool.layers, strict=True):
        assert call["key"] is layer.keys, use
        assert call["value"] is layer.values, use
        assert call["key"].shape[0] == 50 + 1, use


@pytest.mark.parametrize("name", ["llama-3", "gpt2", *tiny_models.POOLED])
def test_nothing_follows_from_how_much_a_cache_says_that_it_holds(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use = f"{HERE}/pool.py holds many texts, so that no one length is right"
    model = fresh(name)
    _, pool = pooled(model, 50)
    found = []
    for held in (0, 17):
        monkeypatch.setattr(PoolCache, "get_seq_length", lambda *_, held=held: held)
        pool.places = torch.arange(len(TEXT))
        places = torch.arange(len(TEXT))[None]
        found.append(asked(model, "length", TEXT, pool, position_ids=places))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one["query"], other["query"], msg=use)


def test_a_layer_of_a_cache_is_asked_by_the_names_that_ours_has() -> None:
    use = f"{HERE}/pool.py overrides it, to write into the pool"
    assert parameters(DynamicLayer.update) == "self, key_states, value_states, *args, **kwargs", use
    assert "layers=None" in parameters(Cache.__init__), use


def test_what_a_model_keeps_of_a_text_has_the_shape_that_a_pool_is_made_of() -> None:
    use = f"{HERE}/loading.py reads heads and sizes from it"
    with torch.inference_mode():
        kept = fresh("qwen3")(torch.tensor([TEXT]), use_cache=True).past_key_values
    assert [layer.keys.shape for layer in kept.layers] == [(1, 2, len(TEXT), 16)] * 2, use
    assert [layer.values.shape for layer in kept.layers] == [(1, 2, len(TEXT), 16)] * 2, use


def test_flash_attention_over_texts_of_different_lengths_takes_what_it_is_given() -> None:
    use = f"{HERE}/attend.py calls it, the first seven by their place"
    assert parameters(varlen_attn) == (
        "query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, return_aux=None, scale=None, "
        "window_size=(-1, -1), enable_gqa=False, seqused_k=None, block_table=None, num_splits=None"
    ), f"torch {torch.__version__}: {use}"


def test_a_pass_can_be_captured() -> None:
    use = f"{HERE}/graphs.py captures steps; that it works python -m benchmarks.gpu sees"
    assert "cuda_graph" in inspect.signature(torch.cuda.graph.__init__).parameters, use
    assert callable(torch.cuda.CUDAGraph.replay), use
