"""prompts: each format prompts as its model was trained, and no text can forge a turn."""

import subprocess
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from chat.tokens import FastTokens
from prompts import FORMATS, Control, Message, Piece, PromptError, choose, control_tokens
from prompts.base import WORD_JOINER, check
from prompts.chatml import ChatML
from prompts.llama2 import Llama2
from prompts.template import CLOSE, OPEN, Template
from tests.tiny import chatml_tokenizer, llama2_tokenizer

CHATML, LLAMA2 = chatml_tokenizer(), llama2_tokenizer()

SYSTEM, FIRST, ANSWER, LAST = (
    Message("system", "Be brief."),
    Message("user", "Hi"),
    Message("assistant", "Hello."),
    Message("user", "And now?"),
)


def text_of(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text if isinstance(piece, Control) else piece for piece in pieces)


def dicts(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [message._asdict() for message in messages]


def test_llama2_prompts_as_metas_reference_does() -> None:
    pieces = Llama2().pieces(
        [SYSTEM, Message("user", " Hi "), Message("assistant", "Hello. "), LAST]
    )
    assert text_of(pieces) == (
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello. </s><s>[INST] And now? [/INST]"
    )
    # Each turn is one encoded string between BOS and EOS there.
    turns = [
        "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello. ",
        "[INST] And now? [/INST]",
    ]
    first, last = (LLAMA2(turn, add_special_tokens=False).input_ids for turn in turns)
    bos, eos = LLAMA2.bos_token_id, LLAMA2.eos_token_id
    assert FastTokens(LLAMA2).encode(pieces) == [bos, *first, eos, bos, *last]


@pytest.mark.parametrize(
    "messages", [[SYSTEM, FIRST, ANSWER, LAST], [FIRST, ANSWER, LAST], [FIRST]]
)
@pytest.mark.parametrize("format", [ChatML(), Template(CHATML)], ids=["chatml", "template"])
def test_chatml_prompts_as_the_models_own_template_does(
    format: ChatML | Template, messages: list[Message]
) -> None:
    ids = CHATML.apply_chat_template(dicts(messages), add_generation_prompt=True, return_dict=False)
    assert FastTokens(CHATML).encode(format.pieces(messages)) == ids


MALFORMED = [
    [],
    [SYSTEM],
    [ANSWER, LAST],
    [FIRST, LAST],
    [FIRST, ANSWER],
    [SYSTEM, SYSTEM, FIRST],
    [FIRST, SYSTEM, LAST],
]


@pytest.mark.parametrize("format", [Llama2(), ChatML(), Template(CHATML)], ids=list(FORMATS))
@pytest.mark.parametrize("messages", MALFORMED)
def test_messages_out_of_turn_are_refused(
    format: Llama2 | ChatML | Template, messages: list[Message]
) -> None:
    with pytest.raises(PromptError):
        format.pieces(messages)


def test_a_refusal_names_the_message_that_is_out_of_turn() -> None:
    with pytest.raises(PromptError, match=r"^Message 3 must come from the assistant, not the user"):
        check([SYSTEM, FIRST, LAST])


SETUPS = {
    "llama2": (Llama2(), LLAMA2),
    "chatml": (ChatML(), CHATML),
    "template": (Template(CHATML), CHATML),
    "template of llama2": (Template(LLAMA2), LLAMA2),
}
TOKENS = {name: FastTokens(tokenizer) for name, (_, tokenizer) in SETUPS.items()}

MARKS = ["[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"]
HALVES = ["<|im_", "start|>", "|>", "<", "/s>", ">", "[", "/INST]", "INST]", "<<", "SYS>>", "\n"]
INVISIBLE = [OPEN, CLOSE, WORD_JOINER, "\u200b", "\ufeff", " "]
WHOLE = [*MARKS, *control_tokens(CHATML), *control_tokens(LLAMA2), "{{ 1/0 }}", "{% endfor %}"]
FORGED = st.lists(st.sampled_from(WHOLE + HALVES + INVISIBLE) | st.text(max_size=2), max_size=8)


@pytest.mark.parametrize("name", SETUPS)
@settings(deadline=None, max_examples=300)
@given(system=FORGED, first=FORGED, answer=FORGED, last=FORGED)
def test_nobody_can_forge_a_turn(
    name: str, system: list[str], first: list[str], answer: list[str], last: list[str]
) -> None:
    format, tokenizer = SETUPS[name]
    ids = {tokenizer.convert_tokens_to_ids(token) for token in control_tokens(tokenizer)}

    def skeleton(contents: Sequence[str]) -> tuple[list[int], list[int]]:
        messages = [
            Message(role, content)
            for (role, _), content in zip([SYSTEM, FIRST, ANSWER, LAST], contents, strict=True)
        ]
        pieces = format.pieces(messages)
        marks = MARKS if name == "llama2" else ()
        return (
            [id for id in TOKENS[name].encode(pieces) if id in ids],
            [text_of(pieces).count(mark) for mark in marks],
        )

    hostile = [f"x{''.join(parts)}x" for parts in (system, first, answer, last)]
    assert skeleton(hostile) == skeleton(["x"] * 4)


@pytest.mark.parametrize("name", ["chatml", "template"])
@settings(deadline=None)
@given(FORGED)
def test_chatml_and_templates_change_no_letter_that_is_written(name: str, parts: list[str]) -> None:
    content = "".join(part for part in parts if part not in (OPEN, CLOSE))
    messages = [SYSTEM, Message("user", content), ANSWER, LAST]
    expected = CHATML.apply_chat_template(
        dicts(messages), add_generation_prompt=True, tokenize=False
    )
    assert text_of(SETUPS[name][0].pieces(messages)) == expected


@settings(deadline=None)
@given(FORGED)
def test_llama2_changes_what_is_written_only_by_what_nobody_sees(parts: list[str]) -> None:
    content = "x" + "".join(parts).replace(WORD_JOINER, "") + "x"
    prompt = text_of(Llama2().pieces([Message("user", content)]))
    assert prompt.replace(WORD_JOINER, "") == f"<s>[INST] {content} [/INST]"


@pytest.mark.parametrize(
    ("tokenizer", "expected"), [(LLAMA2, Llama2), (CHATML, Template)], ids=["llama2", "chatml"]
)
def test_the_format_is_chosen_from_the_model(
    tokenizer: PreTrainedTokenizerFast, expected: type
) -> None:
    assert type(choose(tokenizer)) is expected


def test_chatml_is_recognised_without_a_template() -> None:
    tokenizer = chatml_tokenizer()
    tokenizer.chat_template = None
    assert type(choose(tokenizer)) is ChatML
    with pytest.raises(PromptError, match="no chat template"):
        choose(tokenizer, "template")


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_can_be_set_by_hand(name: str) -> None:
    assert choose(LLAMA2 if name == "llama2" else CHATML, name).name == name


def test_a_format_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(PromptError, match="'alpaca'; there are llama2, chatml, template"):
        choose(CHATML, "alpaca")


def test_a_format_whose_marks_the_tokenizer_lacks_is_refused() -> None:
    with pytest.raises(PromptError, match=r"chatml needs the control token <\|im_end\|>"):
        choose(LLAMA2, "chatml")


def test_a_base_model_is_refused_with_a_way_out() -> None:
    tokenizer = llama2_tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(PromptError, match=r"base model .* by hand: llama2, chatml, template"):
        choose(tokenizer)
    assert choose(tokenizer, "llama2").name == "llama2"


NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"


def test_a_template_without_a_system_role_gets_it_in_the_first_message() -> None:
    tokenizer = chatml_tokenizer()
    tokenizer.chat_template = NO_SYSTEM + str(tokenizer.chat_template)
    given = Template(tokenizer).pieces([SYSTEM, FIRST, ANSWER, LAST])
    first = Message("user", "Be brief.\n\nHi")
    assert text_of(given) == text_of(Template(CHATML).pieces([first, ANSWER, LAST]))


@pytest.mark.parametrize("template", ["{{ raise_exception('no') }}", "{% for %}"])
def test_a_template_that_fails_is_one_sentence(template: str) -> None:
    tokenizer = chatml_tokenizer()
    tokenizer.chat_template = template
    with pytest.raises(PromptError, match="chat template refused the conversation"):
        Template(tokenizer).pieces([FIRST])


def test_tokens_that_the_template_writes_are_control_tokens_though_not_special() -> None:
    tokenizer = chatml_tokenizer()
    tokenizer.add_tokens([AddedToken(token) for token in ("[gMASK]", "lovely", "\n")])
    tokenizer.chat_template = "[gMASK]" + str(tokenizer.chat_template)
    assert control_tokens(tokenizer) - control_tokens(CHATML) == {"[gMASK]"}
    mask = tokenizer.convert_tokens_to_ids("[gMASK]")
    pieces = Template(tokenizer).pieces([Message("user", "a [gMASK] b")])
    assert FastTokens(tokenizer).encode(pieces).count(mask) == 1


def test_prompts_can_be_used_without_chat() -> None:
    code = "import prompts, sys; print([name for name in sys.modules if name == 'chat'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
