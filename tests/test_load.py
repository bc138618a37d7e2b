"""chat.load: which engine runs a model, and a chat that is ready."""

import json
import shutil
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from chat import load as module
from chat.core.conversation import rebuild
from chat.core.sampling import OPTIONAL, Sampling
from chat.engines.batched.engine import BatchedEngine
from chat.engines.entry import Entry, Loaded, Outlook
from chat.engines.openvino.engine import OpenVINOEngine
from chat.engines.registry import ENGINES
from chat.engines.transformers.engine import TransformersEngine
from chat.errors import ModelError, UnfitModel
from chat.load import load
from chat.settings import Settings
from prompts import Message, visible
from tests.support import gguf_file
from tests.support.fakes import ScriptedEngine
from tests.support.tiny import chatml_tokenizer


@pytest.fixture(scope="module")
def cache(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One in which the model is converted for OpenVINO already."""
    return shutil.copytree(gguf.parent, tmp_path_factory.mktemp("load") / "cache")


def settings(gguf: Path, cache: Path, **chosen: Any) -> Settings:
    return Settings(model=str(gguf), cache_dir=cache, context_window=256, **chosen)


async def test_without_a_gpu_openvino_answers_as_many_at_once_as_was_set(
    gguf: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chat = load(settings(gguf, cache, parallel=3))
    assert isinstance(chat.engine, OpenVINOEngine)
    assert chat.engine.parallel == 3
    assert chat.engine.window == 256
    assert "Up to 3 people are answered at once; the KV cache holds 1,536 tokens" in (
        capsys.readouterr().out
    )
    sampling = Sampling(max_new_tokens=10)
    async with aclosing(chat.reply(rebuild([], "hello", ""), sampling)) as updates:
        last = [update async for update in updates][-1]
    assert last.state in ("finished", "length")
    assert "<|im_start|>user\nhello<|im_end|>" in last.prompt, "ChatML, as its template says"
    assert (chat.name, chat.plain.name) == ("tiny", "plain")
    chat.engine.close()


@pytest.mark.parametrize("how", ["asked for", "weights that OpenVINO cannot read"])
def test_transformers_runs_what_openvino_does_not(
    gguf: Path, cache: Path, tmp_path: Path, how: str
) -> None:
    chosen: dict[str, Any] = {}
    if how == "asked for":
        chosen["engine"] = "transformers"
    else:
        gguf = gguf_file.write(tmp_path / "q5.gguf", "Q5_0")
    engine = load(settings(gguf, cache, **chosen)).engine
    assert isinstance(engine, TransformersEngine)
    assert engine.supports == set(OPTIONAL)
    engine.close()


async def test_with_a_gpu_many_are_answered_at_once(
    gguf: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is only said to be there, so that all runs on the CPU."""
    monkeypatch.setattr(module, "has_cuda", lambda: True)
    chat = load(settings(gguf, cache, parallel=3))
    assert isinstance(chat.engine, BatchedEngine)
    assert chat.engine.parallel == 3
    assert "Up to 3 people are answered at once" in capsys.readouterr().out
    sampling = Sampling(max_new_tokens=10, choices=("yes", "no way"))
    async with aclosing(chat.reply(rebuild([], "hello", ""), sampling)) as updates:
        last = [update async for update in updates][-1]
    assert last.text in ("yes", "no way")
    chat.engine.close()


def test_what_an_engine_finds_out_while_it_loads_leads_to_the_next_one(
    gguf: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find_out(*_: object) -> Loaded:
        raise UnfitModel("its attention is of another kind")

    monkeypatch.setattr(module, "has_cuda", lambda: True)
    monkeypatch.setitem(ENGINES, "batched", replace(ENGINES["batched"], load=find_out))
    engine = load(settings(gguf, cache)).engine
    assert isinstance(engine, TransformersEngine)
    engine.close()
    said = "cannot run this model, so transformers does: its attention is of another kind"
    assert said in capsys.readouterr().out
    with pytest.raises(ModelError, match=r"of another kind\. Choose --engine transformers\.$"):
        load(settings(gguf, cache, engine="batched"))


async def test_transformers_ties_replies_down_too(gguf: Path, cache: Path) -> None:
    chat = load(settings(gguf, cache, engine="transformers", prompt_lookup=4))
    for temperature in (0.0, 1.0):
        sampling = Sampling(max_new_tokens=20, temperature=temperature, choices=("yes", "no way"))
        async with aclosing(chat.reply(rebuild([], "hello", ""), sampling)) as updates:
            last = [update async for update in updates][-1]
        assert last.state == "finished"
        assert last.text in sampling.choices
    chat.engine.close()


def test_openvino_on_demand_refuses_what_it_cannot_run(tmp_path: Path) -> None:
    file = gguf_file.write(tmp_path / "q5.gguf", "Q5_0")
    with pytest.raises(ModelError, match=r"OpenVINO cannot run this model: .* Q5_0\. Choose"):
        load(settings(file, tmp_path, engine="openvino"))


def test_an_openvino_model_on_transformers_is_refused(tmp_path: Path) -> None:
    for name in ("openvino_model.xml", "openvino_model.bin"):
        (tmp_path / name).touch()
    (tmp_path / "config.json").write_text(json.dumps({}))
    with pytest.raises(ModelError, match="needs --engine openvino"):
        load(settings(tmp_path, tmp_path, engine="transformers"))


def test_a_prompt_format_that_does_not_fit_the_model_ends_the_start_with_its_sentence(
    gguf: Path, cache: Path
) -> None:
    with pytest.raises(ModelError, match=r"llama2 needs the control token"):
        load(settings(gguf, cache, prompt_format="llama2"))


class Loads(ScriptedEngine):
    """An engine of a package that was added."""


def entry(hardware: tuple[Any, ...], reason: str | None = None) -> Entry:
    return Entry(
        title="Added",
        description="by a test",
        hardware=hardware,
        options=BaseModel,
        refusal=lambda source, cache: reason,
        refused="Added cannot run this: {reason}.",
        load=lambda *_: Loaded(chatml_tokenizer(), lambda ids: Loads(), {}),
        outlook=lambda *_: Outlook(chatml_tokenizer(), "added", 1, 2, "memory", 0, 64, 1),
    )


def with_first(monkeypatch: pytest.MonkeyPatch, added: Entry) -> None:
    monkeypatch.setattr(module, "ENGINES", {"added": added, **ENGINES})


@pytest.mark.parametrize(("hardware", "cuda"), [(("cpu",), False), (("cuda",), True)])
def test_auto_takes_the_first_engine_that_is_made_for_the_hardware(
    gguf: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, hardware: Any, cuda: bool
) -> None:
    with_first(monkeypatch, entry(hardware))
    monkeypatch.setattr(module, "has_cuda", lambda: cuda)
    assert isinstance(load(settings(gguf, cache)).engine, Loads)


@pytest.mark.parametrize(
    ("added", "said"),
    [
        (entry(()), []),
        (entry(("cuda",)), []),
        (entry(("cpu",), "odd"), ["Added cannot run this model, so OpenVINO does: odd"]),
    ],
    ids=["none", "other hardware", "refuses"],
)
def test_auto_passes_over_an_engine_for_other_hardware_and_one_that_refuses_the_model(
    gguf: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    added: Entry,
    said: list[str],
) -> None:
    with_first(monkeypatch, added)
    monkeypatch.setattr(module, "has_cuda", lambda: False)
    engine = load(settings(gguf, cache, parallel=1)).engine
    assert isinstance(engine, OpenVINOEngine)
    engine.close()
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "cannot run" in line] == said


def test_an_engine_that_is_asked_for_by_name_says_itself_why_it_cannot(
    gguf: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_first(monkeypatch, entry(("cpu", "cuda"), "it is odd"))
    asked = settings(gguf, cache).model_copy(update={"engine": "added"})
    with pytest.raises(ModelError, match=r"^Added cannot run this: it is odd\.$"):
        load(asked)


def test_on_a_gpu_an_openvino_model_is_refused_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("openvino_model.xml", "openvino_model.bin"):
        (tmp_path / name).touch()
    (tmp_path / "config.json").write_text(json.dumps({}))
    monkeypatch.setattr(module, "has_cuda", lambda: True)
    with pytest.raises(ModelError, match="needs --engine openvino"):
        load(settings(tmp_path, tmp_path))


def test_a_chat_template_from_a_file_prompts_the_model(
    gguf: Path, cache: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text("mine: {{ messages[-1].content }}")
    chat = load(settings(gguf, cache, chat_template=str(file)))
    pieces = chat.format.pieces([Message("user", "Hi")])
    assert (chat.format.name, "".join(map(visible, pieces))) == ("template", "mine: Hi")
    chat.engine.close()


@pytest.mark.parametrize(
    ("template", "sentence"),
    [(None, "there is no such file"), ("{{ a", r"cannot be read: .* \(line 1\)\.$")],
)
def test_a_chat_template_that_cannot_be_used_ends_the_start_with_a_sentence(
    gguf: Path, cache: Path, tmp_path: Path, template: str | None, sentence: str
) -> None:
    file = tmp_path / "mine.jinja"
    if template:
        file.write_text(template)
    with pytest.raises(ModelError, match=sentence):
        load(settings(gguf, cache, chat_template=str(file)))


def test_a_disk_that_is_full_ends_the_start_with_a_sentence(
    gguf: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Loaded:
        raise OSError(28, "No space left on device", "/somebody/s/folder")

    monkeypatch.setitem(ENGINES, "openvino", replace(ENGINES["openvino"], load=full))
    with pytest.raises(ModelError, match="No space left on device") as error:
        load(settings(gguf, cache, engine="openvino"))
    assert "somebody" not in str(error.value)
