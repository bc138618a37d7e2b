"""prompts.templates: which of a tokenizer's chat templates, or what file."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from prompts import Message, PromptError, choose, templates
from prompts.base import visible
from prompts.encoder import Encoder
from tests.support.tiny import CHATML_TEMPLATE, chatml_tokenizer, llama2_tokenizer

ROOT = Path(__file__).parent.parent.parent
HI = [Message("user", "Hi")]
NAMED = {"rag": "rag: {{ messages[0].content }}", "tool_use": "tools: {{ messages[0].content }}"}


def tokenizer_with(*named: str, **more: str) -> Any:
    tokenizer = chatml_tokenizer()
    tokenizer.chat_template = {**{name: NAMED[name] for name in named}, **more}
    return tokenizer


def shown(tokenizer: Any, format: str = "template") -> str:
    return "".join(map(visible, choose(tokenizer, format).pieces(HI)))


def test_one_of_several_is_chosen_by_its_name() -> None:
    tokenizer = tokenizer_with("rag", "tool_use", default="default: {{ messages[0].content }}")
    assert shown(tokenizer) == "default: Hi"
    templates.use(tokenizer, "rag")
    assert shown(tokenizer) == "rag: Hi"


def test_the_default_is_recognised_like_the_only_one() -> None:
    assert choose(tokenizer_with("rag", default=CHATML_TEMPLATE)).name == "chatml"


@pytest.mark.parametrize("format", ["auto", "template"])
@pytest.mark.parametrize("named", [("tool_use", "rag"), ("rag",)])
def test_without_a_default_those_that_are_there_are_listed(
    format: str, named: tuple[str, ...]
) -> None:
    names = ", ".join(sorted(named))
    with pytest.raises(PromptError, match=rf"no default chat template; .*: {names}\.$"):
        choose(tokenizer_with(*named), format)
    assert choose(tokenizer_with(*named), "chatml").name == "chatml", "which needs none"


def test_the_only_template_is_the_default_by_name() -> None:
    tokenizer = chatml_tokenizer()
    templates.use(tokenizer, "default")
    assert tokenizer.chat_template == CHATML_TEMPLATE


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_holds_another(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text("日本: {{ messages[0].content }}\n", encoding)
    for tokenizer in (chatml_tokenizer(), llama2_tokenizer(), tokenizer_with("rag")):
        templates.use(tokenizer, str(file))
        assert shown(tokenizer) == "日本: Hi"
    tokenizer = chatml_tokenizer()
    tokenizer.chat_template = None
    templates.use(tokenizer, str(file))
    assert shown(tokenizer) == "日本: Hi"


def test_what_a_files_template_writes_is_a_control_token(tmp_path: Path) -> None:
    tokenizer = chatml_tokenizer()
    tokenizer.add_tokens(["<turn>"])
    (tmp_path / "mine.jinja").write_text("<turn>{{ messages[0].content }}<turn>")
    templates.use(tokenizer, str(tmp_path / "mine.jinja"))
    turn = tokenizer.convert_tokens_to_ids("<turn>")
    pieces = choose(tokenizer, "template").pieces([Message("user", "a<turn>b")])
    assert Encoder(tokenizer).encode(pieces).count(turn) == 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"has no chat template {file} \(it has rag, tool_use\), and there is no such file"),
        (b"", "{file} is empty, so it is no chat template"),
        (b" \n", "{file} is empty, so it is no chat template"),
        (b"\xff", "{file} is not text in UTF-8, so it is no chat template"),
        (b"x" * 1_000_001, "{file} is too large for a chat template"),
    ],
)
def test_a_file_that_holds_none_is_one_sentence(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    file = tmp_path / "mine.jinja"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(PromptError, match=sentence.format(file=file) + r"\.$"):
        templates.use(tokenizer_with("rag", "tool_use"), str(file))


@pytest.mark.parametrize("name", ["nothing", "~nobody/x", "a\0b", "x" * 999, ".", "rag "])
def test_a_name_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(PromptError, match=r"chat template .*\.$") as caught:
        templates.use(tokenizer_with("rag"), name)
    assert "\n" not in str(caught.value)


def test_a_folder_with_several_templates_is_read_with_their_names(tmp_path: Path) -> None:
    tokenizer_with("rag", default=CHATML_TEMPLATE).save_pretrained(tmp_path)
    (tmp_path / "mine.jinja").write_text("mine: {{ messages[0].content }}")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    templates.use(tokenizer, "rag")
    assert shown(tokenizer) == "rag: Hi"

    def window(*flags: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "prompts", *flags],
            input=json.dumps([message.entry for message in HI]),
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )

    folder = ["--tokenizer", str(tmp_path)]
    for name, expected in [("rag", "rag: Hi"), (str(tmp_path / "mine.jinja"), "mine: Hi")]:
        ids = json.loads(window("auto", *folder, "--chat-template", name).stdout)
        assert tokenizer.decode(ids) == expected
    refused = window("chatml", *folder, "--chat-template", "rag")
    assert refused.stderr == (
        "prompts: --chat-template goes with the format template and --tokenizer.\n"
    )
