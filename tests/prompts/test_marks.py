"""prompts.marks: how a family of models marks what it thinks."""

import pytest

from prompts.marks import FAMILIES, recognised, tag

THINK = tag("think")
HARMONY = next(one for one in FAMILIES if "analysis" in one.begin)


@pytest.mark.parametrize(
    ("written", "begin"),
    [
        ("{% if '</think>' in content %}", "<think>"),
        ("<seed:think> </seed:think>", "<seed:think>"),
        ("<thinking>' + message['thought'] + '</thinking>", "<thinking>"),
        ("[THINK] [/THINK]", "[THINK]"),
        ("<|START_THINKING|> <|END_THINKING|>", "<|START_THINKING|>"),
        ("<|channel|> <|message|> <|end|>", "<|channel|>analysis<|message|>"),
        ("<|open|> <|sep|> <|close|>", "<|open|>think<|sep|>"),
        ("<|message|> <|eom|>", " to=self<|message|>"),
        ("after the marker [BEGIN FINAL RESPONSE].", "Here are my reasoning steps:"),
    ],
)
def test_marks_are_recognised_by_what_a_tokenizer_or_its_template_knows(
    written: str, begin: str
) -> None:
    found = recognised(written)
    assert found
    assert found.begin == begin


@pytest.mark.parametrize("written", ["", "I think so", "<|im_start|> <|end|>", "[INST] [/INST]"])
def test_nothing_is_recognised_where_there_is_nothing(written: str) -> None:
    assert recognised(written) is None


@pytest.mark.parametrize(
    ("prompt", "open"),
    [
        ("assistant\n", None),
        ("assistant\n<think>\n", True),
        ("assistant\n<think>\n\n</think>\n\n", False),
        ("assistant</think>", False),
        ("<think>a</think>assistant\n<think>", True),
    ],
)
def test_a_prompt_may_leave_a_thought_open(prompt: str, open: bool | None) -> None:
    assert THINK.left_open(prompt) is open


def test_where_all_messages_end_with_the_same_mark_a_prompt_has_not_ended_a_thought() -> None:
    assert HARMONY.left_open("Hi<|end|><|start|>assistant") is None
