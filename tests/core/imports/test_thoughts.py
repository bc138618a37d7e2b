"""chat.core.imports: what was thought before a reply, in all the ways it is written."""

import time
from typing import Any

import pytest

from chat.core.imports import take
from tests.support.exports import (
    RAIN,
    WRITTEN,
    A,
    S,
    U,
    chatgpt,
    entries,
    part,
)


def thought(content: Any) -> list[tuple[str, str, str]]:
    (conversation,) = take(content).conversations
    return [(one.role, one.content, one.reasoning_content) for one in conversation.messages]


SAID = "Drops on the window."
DETAILS = '<details type="reasoning" done="true" duration="2">\n<summary>Thought</summary>\n'
CALL = (
    '<details type="tool_calls" done="true" id="1" name="rain" arguments="&quot;{}&quot;" '
    'result="&quot;&lt;b&gt;&quot;">\n<summary>Tool Executed</summary>\n</details>'
)
THINKING = {
    "OpenAI's shape": {"role": A, "content": SAID, "reasoning_content": "Hm.\n\nWet?"},
    "OpenRouter": {"role": A, "content": SAID, "reasoning": "Hm.\n\nWet?"},
    "Ollama": {"role": A, "content": SAID, "thinking": "Hm.\n\nWet?"},
    "Claude": {
        "role": A,
        "content": [
            {"type": "thinking", "thinking": "Hm.\n\nWet?", "signature": "x"},
            {"type": "text", "text": SAID},
        ],
    },
    "LibreChat": {
        "role": A,
        "content": [
            {"type": "think", "think": "Hm."},
            {"type": "think", "think": {"value": "Wet?"}},
            {"type": "text", "text": SAID},
        ],
    },
    "LibreChat, once": {"role": A, "content": f":::thinking\nHm.\n\nWet?\n:::\n\n{SAID}"},
    "Vercel": {
        "role": A,
        "parts": [
            {"type": "reasoning", "text": "Hm.\n\nWet?"},
            {"type": "text", "text": SAID},
        ],
    },
    "a summary": {
        "role": A,
        "content": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm.\n\nWet?"}]},
            {"type": "output_text", "text": SAID},
        ],
    },
    "Gemini": {
        "role": "model",
        "parts": [{"text": "Hm.\n\nWet?", "thought": True}, {"text": SAID}],
    },
    "tags": {"role": A, "content": f"<think>\nHm.\n\nWet?\n</think>\n\n{SAID}"},
    "other tags": {"role": A, "content": f" <thinking>Hm.\n\nWet?</thinking>{SAID}"},
    "Open WebUI": {"role": A, "content": f"{DETAILS}> Hm.\n> \n> Wet?\n</details>\n{SAID}"},
    "Open WebUI, later": {
        "role": A,
        "content": f"{DETAILS}&gt; Hm.\n&gt; \n&gt; Wet?\n</details>\n{SAID}",
    },
    "Open WebUI, with a tool": {
        "role": A,
        "content": f"{DETAILS}> Hm.\n</details>\n{CALL}\n{DETAILS}> Wet?\n</details>\n{SAID}",
    },
}


@pytest.mark.parametrize("name", THINKING)
def test_what_was_thought_is_kept_apart_from_what_was_said(name: str) -> None:
    talk = [*entries(RAIN[0]), THINKING[name]]
    assert thought(talk) == [(*RAIN[0], ""), (A, SAID, "Hm.\n\nWet?")]
    assert take(talk).sentence == "Took 1 conversation."


@pytest.mark.parametrize(
    "content",
    [
        f"Let me see.\n\n{CALL}\n\n  It rains.",
        [
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "name": "rain", "input": {}},
            {"type": "tool_result", "content": [{"type": "text", "text": "wet"}], "text": "wet"},
            {"type": "text", "text": "\n  It "},
            {"type": "text", "text": "rains."},
        ],
        [
            {"type": "text", "text": "Let me see."},
            {"type": "web_search_tool_result", "text": "wet"},
            {"type": "dynamic-tool", "text": "wet"},
            {"type": "function_call", "text": "wet"},
            {"type": "text", "text": "  It rains."},
        ],
    ],
)
def test_what_is_said_around_a_tool_are_paragraphs(content: Any) -> None:
    talk = [*entries(RAIN[0]), {"role": A, "content": content}]
    assert thought(talk)[1] == (A, "Let me see.\n\n  It rains.", "")


@pytest.mark.parametrize("form", ["thinking", "reasoning"])
def test_a_thought_alone_is_that_of_the_reply_after_it(form: str) -> None:
    alone = {"role": A, "content": [{"type": form, form: "Hm."}]}
    assert thought([*entries(RAIN[0]), alone, *entries(RAIN[1])])[1] == (A, SAID, "Hm.")
    assert thought([*entries(RAIN[0]), alone])[1] == (A, "", "Hm.")


@pytest.mark.parametrize(
    "said",
    [
        (U, "<think>Hm.</think>Hello"),
        (A, "Write <think>Hm.</think> first."),
        (A, "<think>Hm."),
        (A, "```\n<think>Hm.</think>\n```"),
        (S, ":::thinking\nHm.\n:::\nHello"),
    ],
)
def test_tags_that_no_reply_begins_with_are_text(said: tuple[str, str]) -> None:
    other = A if said[0] == U else U
    assert (*said, "") in thought(entries((other, "Go on."), said))


@pytest.mark.parametrize("name", ["LibreChat", "DeepSeek"])
def test_what_programs_wrote_of_thoughts_is_taken(name: str) -> None:
    assert thought(WRITTEN[name]) == [(*RAIN[0], ""), (*RAIN[1], "Hm.")]


@pytest.mark.parametrize(
    "said",
    [
        '<details type="reasoning" ' * 200_000,
        '<details type="reasoning"><summary></summary>' * 100_000,
        '<details type="reasoning" \n' * 200_000 + ">",
        '<details type="reasoning">\n' * 200_000,
        ":::thinking" + "\n" * 1_000_000,
        "<think>" * 500_000,
        "\n" * 1_000_000 + "x",
    ],
)
def test_marks_that_nothing_ends_take_no_time(said: str) -> None:
    start = time.process_time()
    assert thought(entries((U, "a"), (A, said)))[1] == (A, said, "")
    assert time.process_time() - start < 3


def test_thoughts_of_chatgpt_are_messages_of_their_own() -> None:
    summaries = [{"summary": "Weather", "content": "Hm."}, {"summary": "", "content": "Wet?"}, 5]
    thoughts = part(A) | {"content": {"content_type": "thoughts", "thoughts": summaries}}
    recap = part(A) | {"content": {"content_type": "reasoning_recap", "content": "For 2 s"}}
    content = chatgpt(
        ("u", None, part(U, "A poem?")),
        ("t", "u", thoughts),
        ("r", "t", recap),
        ("a", "r", part(A, SAID)),
        current="a",
    )
    assert thought(content) == [(*RAIN[0], ""), (A, SAID, "Weather\n\nHm.\n\nWet?")]
    assert take(content).sentence == "Took 1 conversation."
