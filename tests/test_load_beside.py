"""chat.load: what is loaded beside a model, and what is said where it does not fit."""

import json
import shutil
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GgufConfig

from chat.core.chat import Chat
from chat.core.conversation import rebuild
from chat.core.sampling import Sampling
from chat.errors import ModelError, SettingsError
from chat.load import load, load_loop
from chat.models import ir, quantize
from chat.settings import Settings, read
from tests.support import families, gguf_file, lora, tiny_models

engines = pytest.mark.parametrize("engine", ["openvino", "transformers"])


@pytest.fixture(scope="module")
def cache(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One in which the model is converted already."""
    return shutil.copytree(gguf.parent, tmp_path_factory.mktemp("load") / "cache")


@pytest.fixture(scope="module")
def tales(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of the model."""
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    )
    folder = tmp_path_factory.mktemp("adapters") / "tales"
    lora.write(folder, model)
    return folder


def settings(gguf: Path, cache: Path, **chosen: Any) -> Settings:
    return Settings(model=str(gguf), cache_dir=cache, context_window=256, **chosen)


async def reply(chat: Chat, **sampling: Any) -> str:
    asked = Sampling(temperature=0, max_new_tokens=20, **sampling)
    async with aclosing(chat.reply(rebuild([], "hello", ""), asked)) as updates:
        return [update async for update in updates][-1].text


@engines
async def test_adapters_are_there_by_their_names(
    gguf: Path, cache: Path, tales: Path, engine: str
) -> None:
    chat = load(settings(gguf, cache, engine=engine, adapter=f"{tales},none"))
    try:
        assert chat.adapters == ("tales", "none")
        assert await reply(chat) == await reply(chat, adapter="tales")
        assert await reply(chat) != await reply(chat, adapter="none")
    finally:
        chat.engine.close()


@engines
async def test_an_assistant_changes_no_reply(
    gguf: Path, cache: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In 16 bits several tokens at once are rounded otherwise than one at a time.
    monkeypatch.setattr(quantize, "compute_dtype", lambda: torch.float32)
    found = []
    for more in ({}, {"assistant_model": str(gguf)}, {"prompt_lookup": 4}):
        chat = load(settings(gguf, cache, engine=engine, **more))
        found.append(await reply(chat))
        chat.engine.close()
    assert len(set(found)) == 1


@engines
def test_an_assistant_of_another_vocabulary_is_refused(
    gguf: Path, cache: Path, tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_file, "chatml_tokenizer", lambda: other)
    from tests.support.tiny import chatml_tokenizer

    other = chatml_tokenizer()
    state = json.loads(other.backend_tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    first, second = (token for token, id in vocabulary.items() if id in (300, 301))
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    other._tokenizer = type(other.backend_tokenizer).from_str(json.dumps(state))
    file = gguf_file.write(tmp_path / "other.gguf")
    with pytest.raises(ModelError, match="The assistant model has another vocabulary"):
        load(settings(gguf, cache, engine=engine, assistant_model=str(file)))


@engines
def test_an_adapter_of_another_model_is_refused(
    gguf: Path, cache: Path, tmp_path: Path, engine: str
) -> None:
    lora.write(tmp_path / "tales", tiny_models.llama())
    with pytest.raises(ModelError, match="The adapter tales does not fit this model: it is for"):
        load(settings(gguf, cache, engine=engine, adapter=str(tmp_path / "tales")))


@pytest.mark.parametrize("which", ["model", "assistant_model"])
def test_drafting_needs_models_that_can_take_tokens_back(
    cache: Path, tmp_path: Path, which: str
) -> None:
    families.save(families.OTHERS["Llama, positions that grow"][0](), tmp_path / "growing")
    families.save(families.PLAIN["Llama 2"](), tmp_path / "fixed")
    other = "model" if which == "assistant_model" else "assistant_model"
    named = {which: str(tmp_path / "growing"), other: str(tmp_path / "fixed")}
    with pytest.raises(ModelError, match=r"llama cannot take back .*; leave out --assistant-model"):
        load(Settings(cache_dir=cache, engine="transformers", **named))


@engines
@pytest.mark.parametrize(
    "generation",
    [
        "hello",
        "[1]",
        '{"temperature": "hot", "top_k": null, "eos_token_id": {"a": 1}}',
        '{"temperature": NaN, "do_sample": "yes", "eos_token_id": [2, "x", -4]}',
        '{"max_new_tokens": -3, "temperature": -1, "cache_implementation": "odd"}',
    ],
)
async def test_what_a_generation_config_cannot_mean_is_ignored(
    cache: Path, tmp_path: Path, engine: str, generation: str
) -> None:
    families.save(families.PLAIN["Qwen3"](), tmp_path / "tiny")
    (tmp_path / "tiny" / "generation_config.json").write_text(generation)
    chat = load(settings(tmp_path / "tiny", cache, engine=engine))
    try:
        assert chat.suited == {}
        assert await reply(chat)
    finally:
        chat.engine.close()


@pytest.mark.parametrize(
    ("file", "data", "said"),
    [
        ("generation_config.json", '{"temperature": "hot"}', "its generation_config.json, or an"),
        ("config.json", "[1]", "its config.json is missing or damaged"),
        ("config.json", "{}", "its config.json does not say hidden_size"),
        ("tokenizer.json", '{"model": ', "one of its files is damaged"),
        ("openvino_model.xml", "<net", r"openvino_model\.xml is damaged"),
        ("openvino_tokenizer.xml", "", r"openvino_tokenizer\.xml is damaged"),
        ("openvino_model.xml", '<net version="11"><layers', "one of its files is damaged"),
        ("openvino_tokenizer.bin", "", "one of its files is damaged"),
        ("openvino_detokenizer.bin", None, "one of its files is damaged"),
    ],
)
def test_a_damaged_openvino_folder_is_told_of(
    gguf: Path,
    cache: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    file: str,
    data: str | None,
    said: str,
) -> None:
    _, folder = ir.tokenizer_and_folder(gguf, cache)
    damaged = Path(shutil.copytree(folder, tmp_path / "damaged"))
    if data is None:
        changed = bytearray((folder / file).read_bytes())
        changed[len(changed) // 2] = 0xFF
        (damaged / file).write_bytes(changed)
    else:
        (damaged / file).write_text(data)
    with pytest.raises(ModelError, match=rf"^[^\n]*{said}[^\n]*\.$"):
        load(settings(damaged, cache)).engine.close()
    assert capfd.readouterr().err == ""


def test_an_assistant_that_openvino_cannot_run_is_refused(
    gguf: Path, cache: Path, tmp_path: Path
) -> None:
    file = gguf_file.write(tmp_path / "q5.gguf", "Q5_0")
    with pytest.raises(ModelError, match="OpenVINO cannot run the assistant model: it has weights"):
        load(settings(gguf, cache, engine="openvino", assistant_model=str(file)))


@pytest.mark.parametrize("more", [{"adapter": "none"}, {"assistant_model": "embedded"}], ids=str)
def test_the_loop_shows_the_model_alone(gguf: Path, cache: Path, more: dict[str, str]) -> None:
    with pytest.raises(ModelError, match="--loop shows the model alone"):
        load_loop(settings(gguf, cache, **more), lambda *_: None)


def test_a_list_of_adapters_that_is_none_is_refused_by_its_flag(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SettingsError, match=r"--adapter \(or CHAT_ADAPTER\).*two are called x"):
        read(["--adapter", "a/x,b/x"])
    monkeypatch.setenv("CHAT_ADAPTER", "none,tales=some/folder")
    assert read([]).adapter == "none,tales=some/folder"
