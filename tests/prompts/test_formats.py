"""prompts: which format is chosen, what it refuses, and what it looks like."""

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken

from prompts import FORMATS, Message, Piece, PromptError, choose, control_tokens
from prompts.__main__ import main
from prompts.base import check, visible
from prompts.encoder import Encoder
from prompts.formats.plain import Plain
from prompts.formats.template import Template
from tests.support.tiny import chatml_tokenizer, llama2_tokenizer, llama3_tokenizer

CHATML, LLAMA2, LLAMA3 = chatml_tokenizer(), llama2_tokenizer(), llama3_tokenizer()
ROOT = Path(__file__).parent.parent.parent

SYSTEM, FIRST, ANSWER, LAST = DIALOGUE = [
    Message("system", "Be brief."),
    Message("user", "Hi"),
    Message("assistant", "Hello."),
    Message("user", "And now?"),
]


def text_of(pieces: Sequence[Piece]) -> str:
    return "".join(map(visible, pieces))


def form(name: str) -> Any:
    return choose(CHATML if name == "template" else None, name)


SHOWN = {
    "llama2": "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello. </s>"
    "<s>[INST] And now? [/INST]",
    "llama3": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nAnd now?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "chatml": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
    "<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nAnd now?<|im_end|>\n"
    "<|im_start|>assistant\n",
    "chatglm": "[Round 0]\n问：Be brief.\n\nHi\n答：Hello.\n"
    "[Round 1]\n问：And now?\n答：[gMASK]<sop>",
    "chatglm3": "[gMASK]sop<|system|>\nBe brief.<|user|>\nHi<|assistant|>\nHello."
    "<|user|>\nAnd now?<|assistant|>",
    "alpaca": "Be brief.\n\n### Instruction:\nHi\n\n### Response:Hello."
    "\n\n### Instruction:\nAnd now?\n\n### Response:",
    "plain": "Be brief.\n\nHiHello.And now?",
}
SHOWN["template"] = SHOWN["chatml"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_conversation_looks_as_the_source_says(name: str) -> None:
    assert text_of(form(name).pieces(DIALOGUE)) == SHOWN[name]


@pytest.mark.parametrize(
    ("name", "stop"),
    [
        ("llama2", ["</s>"]),
        ("llama3", ["<|eot_id|>"]),
        ("chatml", ["<|im_end|>"]),
        ("chatglm", ["<eop>"]),
        ("chatglm3", ["<|user|>", "<|observation|>"]),
        ("alpaca", []),
        ("plain", []),
        ("template", ["<|im_end|>"]),
    ],
)
def test_a_reply_ends_at_the_marks_of_its_format(name: str, stop: list[str]) -> None:
    assert list(form(name).stop) == stop


def test_an_empty_system_prompt_gets_none_of_the_templates_own() -> None:
    # SmolLM2's template writes a system prompt where there is none; here, none is none.
    tokenizer = chatml_tokenizer()
    own = "{% if messages[0].role != 'system' %}<|im_start|>system\nI am.<|im_end|>\n{% endif %}"
    tokenizer.chat_template = own + str(tokenizer.chat_template)
    assert choose(tokenizer).name == "chatml"
    assert "I am." not in text_of(choose(tokenizer).pieces([FIRST]))
    assert "I am." in text_of(Template(tokenizer).pieces([FIRST]))


@pytest.mark.parametrize("name", FORMATS)
def test_the_docstring_names_the_source(name: str) -> None:
    module = sys.modules[type(form(name)).__module__]
    assert module.__doc__
    assert "Source:" in module.__doc__


def test_chatglm_sends_a_first_message_as_it_is() -> None:
    assert text_of(form("chatglm").pieces([FIRST])) == "Hi[gMASK]<sop>"


def test_alpaca_has_a_system_prompt_of_its_own() -> None:
    shown = text_of(form("alpaca").pieces([FIRST]))
    assert shown.startswith("Below is an instruction that describes a task.")


MALFORMED = [
    ([], "There is no user message"),
    ([ANSWER], "Message 1, the last one, must come from the user"),
    ([FIRST, ANSWER], "Message 2, the last one, must come from the user"),
    ([FIRST, Message("robot", "x"), LAST], "Message 2 has the unknown role 'robot'"),
    ([Message(["user"], "x")], r"Message 1 has the unknown role \(list\)"),
    ([Message("user", 5)], "Message 1 has a content that is not text"),
    ([FIRST, Message("assistant", None), LAST], "Message 2 has a content that is not text"),
]


@pytest.mark.parametrize(("messages", "sentence"), MALFORMED)
@pytest.mark.parametrize("name", FORMATS)
def test_bad_messages_are_refused_by_their_position(
    name: str, messages: list[Message], sentence: str
) -> None:
    with pytest.raises(PromptError, match=sentence):
        form(name).pieces(messages)


def test_no_system_prompt_is_not_an_empty_one() -> None:
    assert check([FIRST])[0] is None
    assert check([Message("system", ""), FIRST])[0] == ""


@pytest.mark.parametrize(
    ("tokenizer", "expected"),
    [(LLAMA2, "llama2"), (LLAMA3, "llama3"), (CHATML, "chatml")],
    ids=["llama2", "llama3", "chatml"],
)
def test_the_format_is_recognised_by_what_the_models_template_writes(
    tokenizer: Any, expected: str
) -> None:
    assert choose(tokenizer).name == expected


@pytest.mark.parametrize(
    ("tokenizer", "old", "new"),
    [
        (llama3_tokenizer(), "{{ bos_token }}", "{{ bos_token }}Today is Saturday. "),
        (chatml_tokenizer(), "message['content']", "message['content'].split('</think>')[-1]"),
        (chatml_tokenizer(), "message['content']", "message['content'] | trim"),
        (chatml_tokenizer(), "{% for", "{{ messages[9].content }}{% for"),
    ],
    ids=["more text", "reasoning cut out", "trimmed", "broken"],
)
def test_a_template_that_writes_anything_else_is_taken_as_it_is(
    tokenizer: Any, old: str, new: str
) -> None:
    tokenizer.chat_template = tokenizer.chat_template.replace(old, new, 1)
    assert choose(tokenizer).name == "template"


def test_a_llama_2_template_of_another_make_is_still_llama_2() -> None:
    tokenizer = llama2_tokenizer()
    tokenizer.chat_template = tokenizer.chat_template.replace(".strip()", "")
    assert choose(tokenizer).name == "llama2"


def test_chatml_is_recognised_without_a_template() -> None:
    tokenizer = chatml_tokenizer()
    tokenizer.chat_template = None
    assert choose(tokenizer).name == "chatml"
    with pytest.raises(PromptError, match="no chat template"):
        choose(tokenizer, "template")


def test_a_tokenizer_without_any_marks_is_a_base_models() -> None:
    tokenizer = llama2_tokenizer()
    tokenizer.chat_template = None
    assert choose(tokenizer).name == "plain"
    assert choose(tokenizer, "llama2").name == "llama2"


def test_a_format_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(PromptError, match="'poem'; there are llama2, llama3, chatml"):
        choose(CHATML, "poem")


def test_a_format_whose_marks_the_tokenizer_lacks_is_refused() -> None:
    with pytest.raises(PromptError, match=r"chatml needs the control token <\|im_end\|>"):
        choose(LLAMA2, "chatml")
    with pytest.raises(PromptError, match=r"llama2 needs the control token </s>"):
        choose(CHATML, "llama2")


def test_a_format_one_of_whose_marks_the_tokenizer_lacks_is_refused() -> None:
    tokenizer = llama2_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_end|>"]})
    with pytest.raises(PromptError, match=r"chatml needs the control token <\|im_start\|>"):
        choose(tokenizer, "chatml")


def test_a_word_that_a_template_writes_beside_a_control_token_stays_a_word() -> None:
    content = "the user and the assistant: 12:30\nuser\n"
    assert content in text_of(Template(CHATML).pieces([Message("user", content)]))


@pytest.mark.parametrize("name", ["plain", "alpaca"])
def test_what_a_tokenizer_puts_before_a_text_is_put_before_a_prompt(name: str) -> None:
    assert text_of(choose(LLAMA2, name).pieces([FIRST])).startswith("<s>")
    assert not text_of(choose(CHATML, name).pieces([FIRST])).startswith("<")


def test_a_base_model_continues_the_text_itself_and_may_echo_it() -> None:
    text = "This is a nice story that makes me"
    assert Plain().pieces([Message("user", text)]) == [text]
    assert Plain().opening([Message("user", text)]) == ""
    assert Plain(echo=True).opening([Message("user", text)]) == text
    assert form("chatml").opening([Message("user", text)]) is None


def test_an_echo_is_not_composed_twice() -> None:
    messages = [FIRST, Message("assistant", "Hi there"), LAST]
    assert text_of(Plain(echo=True).pieces(messages)) == "Hi thereAnd now?"
    assert text_of(Plain().pieces(messages)) == "HiHi thereAnd now?"


NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"


def test_a_template_without_a_system_role_gets_it_in_the_first_message() -> None:
    tokenizer = chatml_tokenizer()
    tokenizer.chat_template = NO_SYSTEM + str(tokenizer.chat_template)
    given = Template(tokenizer).pieces(DIALOGUE)
    first = Message("user", "Be brief.\n\nHi")
    assert text_of(given) == text_of(Template(CHATML).pieces([first, ANSWER, LAST]))


BROKEN = ["{{ raise_exception('no') }}", "{{ messages[9].content }}", "{{ 'x' + 5 }}"]


@pytest.mark.parametrize("template", BROKEN)
def test_a_template_that_fails_is_one_sentence(template: str) -> None:
    tokenizer = chatml_tokenizer()
    tokenizer.chat_template = template
    with pytest.raises(PromptError, match="refused the conversation"):
        Template(tokenizer).pieces(DIALOGUE)


def test_tokens_that_the_template_writes_are_control_tokens_though_not_special() -> None:
    tokenizer = chatml_tokenizer()
    tokenizer.add_tokens([AddedToken("<tool>"), AddedToken("<other>"), AddedToken("\n\n")])
    tokenizer.chat_template = f"<tool>\n\n{tokenizer.chat_template}"
    tokens = control_tokens(tokenizer)
    assert "<tool>" in tokens
    assert not {"<other>", "\n\n"} & set(tokens)


def test_prompts_need_nothing_from_chat() -> None:
    program = (
        "import sys, prompts.__main__; sys.exit(any(m.startswith('chat') for m in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def show(*arguments: str, messages: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "prompts", *arguments],
        input=messages if isinstance(messages, str) else json.dumps(messages),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


def dicts(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [message.entry for message in messages]


@pytest.mark.parametrize("name", ["llama2", "chatglm"])
def test_the_window_shows_a_prompt_with_its_control_tokens(name: str) -> None:
    assert show(name, messages=dicts(DIALOGUE)).stdout == SHOWN[name] + "\n"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_the_window_reads_what_other_programs_write(encoding: str) -> None:
    data = json.dumps(dicts([Message("user", "日本 🙂")]), ensure_ascii=False).encode(encoding)
    command = [sys.executable, "-m", "prompts", "plain"]
    shown = subprocess.run(command, input=data, capture_output=True, cwd=ROOT, check=True)
    assert shown.stdout.decode() == "日本 🙂\n"


def test_the_window_shows_the_ids_of_a_tokenizer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    CHATML.save_pretrained(tmp_path)
    for name in ("template", "chatml", "auto"):  # all the same here
        said = io.BytesIO(json.dumps(dicts(DIALOGUE)).encode())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(said))
        main([name, "--tokenizer", str(tmp_path)])
        shown = capsys.readouterr().out
        assert json.loads(shown) == Encoder(CHATML).encode(form("chatml").pieces(DIALOGUE))


@pytest.mark.parametrize(
    ("arguments", "messages", "sentence"),
    [
        (["chatml"], "not JSON", "Standard input is not JSON"),
        (["chatml"], [{"role": "user", "content": "\ud800"}], "Standard input is not JSON"),
        (["chatml"], "[" * 100_000, "Standard input is not JSON"),
        (["chatml"], [{"role": "user"}], "Message 1 is not an object with a role and a content."),
        (["chatml"], {"role": "user"}, "Standard input must be a JSON list of messages."),
        (["chatml"], ["Hi"], "Message 1 is not an object with a role and a content."),
        (["chatml"], [{"role": "user", "content": ["Hi"]}], "Message 1 has a content that is not"),
        (["poem"], [], "There is no prompt format 'poem'"),
        (["template"], [], "The format template needs a tokenizer"),
        (["auto"], [], "Without a tokenizer the format must be named."),
        pytest.param(
            ["chatml", "--tokenizer", "/nowhere"],
            [],
            "/nowhere holds no tokenizer",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_window_explains_what_it_cannot_show(
    arguments: list[str], messages: Any, sentence: str
) -> None:
    ended = show(*arguments, messages=messages)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"prompts: {sentence}")
    assert ended.stderr.count("\n") == 1
