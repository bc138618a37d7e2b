"""chat.engines.openvino.entry: the model loads beside its tokenizer, and goes without one."""

from pathlib import Path
from typing import Any

import pytest

from chat import machine
from chat.engines.openvino import engine, entry
from chat.errors import ModelError
from chat.models import adapters, config, ir


class Loading:
    """An engine that is told what happens to it."""

    parallel, kv_cache_tokens, kv_cache_bytes = 1, 0, 0

    def __init__(self, folder: Path, window: int, parallel: Any, properties: Any, **_: Any) -> None:
        self.properties = properties
        self.log: list[Any] = ["begun"]
        made.append(self)

    def start(self, stop_ids: Any) -> None:
        self.log.append(stop_ids)

    def close(self) -> None:
        self.log.append("closed")


made: list[Loading] = []
#: Whether the folder that was asked for was one with its layers fused.
fused_ones: list[bool] = []


@pytest.fixture(autouse=True)
def _loading(monkeypatch: pytest.MonkeyPatch) -> None:
    made.clear()
    fused_ones.clear()
    monkeypatch.setattr(engine, "OpenVINOEngine", Loading)

    def ready(source: Path, cache: Path, *, fused: bool) -> Path:
        fused_ones.append(fused)
        return source

    monkeypatch.setattr(ir, "ready", ready)
    monkeypatch.setattr(ir, "require_room", lambda *_: None)
    monkeypatch.setattr(config, "generation", lambda folder: {})


def load(tmp_path: Path, **options: Any) -> Any:
    return entry.OPENVINO.load(tmp_path, tmp_path, 100, entry.ManyOptions(tune=False, **options))


def test_the_model_is_loaded_while_its_tokenizer_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ir, "tokenizer", lambda folder: list(made[0].log))
    loaded = load(tmp_path)
    assert loaded.tokenizer == ["begun"]
    assert loaded.start([5]) is made[0]
    assert made[0].log == ["begun", [5]]


@pytest.mark.parametrize("error", [ModelError("It has none."), KeyboardInterrupt()])
def test_without_a_tokenizer_it_is_let_go_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException
) -> None:
    def tokenizer(folder: Path) -> None:
        raise error

    monkeypatch.setattr(ir, "tokenizer", tokenizer)
    with pytest.raises(type(error)):
        load(tmp_path)
    assert made[0].log == ["begun", "closed"]


@pytest.mark.parametrize(
    ("adapter", "fused"),
    [("", True), ("none", True), ("x=folder", False), ("none,x=folder", False)],
)
def test_layers_are_apart_for_adapters_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, adapter: str, fused: bool
) -> None:
    monkeypatch.setattr(ir, "tokenizer", lambda folder: None)
    monkeypatch.setattr(adapters, "read", lambda text: {})
    load(tmp_path, adapter=adapter)
    assert fused_ones == [fused]


@pytest.mark.parametrize(
    ("threads", "quota", "used"), [("auto", None, None), ("auto", 2, 2), (5, 2, 5), (5, None, 5)]
)
def test_threads_are_what_somebody_says_or_what_a_container_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, threads: Any, quota: Any, used: Any
) -> None:
    monkeypatch.setattr(ir, "tokenizer", lambda folder: None)
    monkeypatch.setattr(machine, "quota", lambda: quota)
    load(tmp_path, threads=threads)
    assert made[0].properties.get("INFERENCE_NUM_THREADS") == used


@pytest.mark.parametrize(("adapter", "needed"), [("", 4000), ("x=a,y=b,none", 4500)])
def test_a_conversion_takes_its_memory_once_and_weights_theirs_for_each_pipeline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, adapter: str, needed: float
) -> None:
    shape = dict.fromkeys(config.SIZES, 4)
    found = ir.Found(None, shape, "to be converted", size=1000, memory=4000, disk=0)
    monkeypatch.setattr(ir, "outlook", lambda *_, **__: found)
    monkeypatch.setattr(ir, "place", lambda *_, **__: tmp_path)
    options = entry.ManyOptions(tune=False, adapter=adapter)
    assert entry.OPENVINO.outlook(tmp_path, tmp_path, 100, options).memory == needed
