"""What the check of a GPU takes for right, for wrong, and for a tie."""

import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.figures import Reply
from benchmarks.gpu import batched, older_torch, speed
from benchmarks.gpu.batched import EAGER, ROWS, USUAL
from benchmarks.gpu.bench import NF4, Bench
from benchmarks.gpu.checkpoints import make
from benchmarks.gpu.right import Case, Judge
from benchmarks.gpu.sizes import CPU
from chat.engines.batched.attend import Flash
from chat.engines.batched.graphs import Graphs
from tests.support import tiny_models


def test_a_reply_is_right_if_it_is_equal_and_a_tie_only_where_the_model_cannot_tell() -> None:
    model = tiny_models.llama()
    with torch.no_grad():  # two tokens that are as likely as each other, whatever is asked
        model.lm_head.weight[7] = model.lm_head.weight[8]
    scores = model(input_ids=torch.tensor([[5, 6]])).logits[0, -1]
    best = int(scores.argmax())
    worst = int(scores.argmin())
    judge = Judge(model)
    judge.compare("equal", Case([5, 6], [best, 9]), [best, 9])
    assert judge.result() == {"right": True, "equal": "1 of 1"}
    judge.compare("tie", Case([5, 6], [7, 9]), [8, 9])
    found = judge.result()
    assert found["right"]
    assert found["equal"] == "1 of 2"
    assert found["ties"][0].startswith("tie: token 1 of 2")
    judge.compare("wrong", Case([5, 6], [best, 9]), [worst, 9])
    assert not judge.result()["right"]


def test_a_reply_that_is_too_short_or_too_long_is_wrong() -> None:
    for ids in ([3], [3, 4, 5]):
        judge = Judge(tiny_models.llama())
        judge.compare("length", Case([5, 6], [3, 4]), ids)
        assert judge.result()["wrong"] == [f"length: {len(ids)} tokens instead of 2"]


def test_the_speed_of_several_is_that_while_all_are_written() -> None:
    first = Reply(0.0, [(1.0, 1), (2.0, 2), (3.0, 3), (4.0, 4)])
    second = Reply(0.0, [(2.0, 1), (3.0, 3), (6.0, 9)])
    assert speed.decoding([first, second]) == pytest.approx((2 + 2) / 2)
    after = Reply(0.0, [(5.0, 1), (6.0, 2)])
    assert speed.decoding([first, after]) is None


def test_the_bytes_that_a_token_reads_are_those_of_the_model(tmp_path: Path) -> None:
    make(tmp_path / "large", CPU.shape, "cpu")
    bench = Bench("cpu", tmp_path, None, {"bandwidth": {"gb_per_s": 2.0}})
    shape = CPU.shape
    hidden, inner = shape["hidden_size"], shape["intermediate_size"]
    kv = hidden * shape["num_key_value_heads"] // shape["num_attention_heads"]
    layer = (2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * inner) * NF4 + 2 * hidden * 2
    head = shape["vocab_size"] * hidden * 2 + hidden * 2
    weights = shape["num_hidden_layers"] * layer + head
    assert bench.weight_bytes == int(weights)
    assert bench.kv_bytes == 2 * shape["num_hidden_layers"] * kv * 2
    step = bench.weight_bytes + 4 * 10 * bench.kv_bytes
    assert bench.share(400, 4, 10) == pytest.approx(100 * step / 2e9, rel=1e-3)


@pytest.mark.parametrize("way", [USUAL, EAGER, ROWS])
def test_the_quick_ways_are_left_out_by_failing(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, name in itertools.product((Flash, Graphs), ("__init__", "begin")):
        if name in vars(kind):
            monkeypatch.setattr(kind, name, vars(kind)[name])  # put back afterwards
    make(tmp_path / "sharp", CPU.sharp, "cpu")
    loader = getattr(batched.LOADERS, f"float32_{way}")
    _, model = loader(tmp_path / "sharp", tmp_path)
    assert model.dtype == torch.float32
    flash = Flash(8, lambda *_, **__: torch.zeros(1))
    if way == ROWS:
        with pytest.raises(RuntimeError, match="left out"):
            flash.begin([], None)  # type: ignore[arg-type]
    else:
        flash.begin([], None)  # type: ignore[arg-type]
    if way != USUAL:
        with pytest.raises(RuntimeError, match="left out"):
            Graphs(None, 8, 1, model.device)  # type: ignore[arg-type]


def test_an_older_torch_is_given_the_arguments_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.nn.attention import varlen

    assert not older_torch.mend()

    def older(query: Tensor, key: Tensor, value: Tensor, is_causal: bool = False) -> None: ...

    monkeypatch.setattr(varlen, "varlen_attn", older)
    assert older_torch.mend()
    # On no device: the operator says no more than whether it takes what it is given.
    query, keys = (torch.empty(*shape, 64, device="meta") for shape in ((3, 8), (50, 2)))
    offsets, lengths = (torch.empty(n, dtype=torch.int32, device="meta") for n in (3, 2))
    flash = Flash(50)
    flash.begin([], _layout(offsets, lengths))
    assert flash(query.transpose(0, 1)[None], keys, keys, 0.1, None).shape == (3, 8, 64)


def _layout(offsets: Tensor, lengths: Tensor) -> object:
    from chat.engines.batched.attend import Layout

    return Layout(offsets, lengths, offsets, 2)
