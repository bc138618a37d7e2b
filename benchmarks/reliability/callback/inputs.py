"""What a page may be sent: messages, histories and controls of any shape, and forged prompts."""

import math
from typing import Any, NamedTuple

from hypothesis import strategies as st

from chat.core.sampling import Sampling

#: Stands in every text that is sent. No log may have it.
CANARY = "zq7Kanariq"

#: Marks of all prompt formats, and of thoughts.
MARKS = (
    *("<s>", "</s>", "<unk>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_start|>system\n"),
    *("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    *("[gMASK]", "sop", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
    *("[Round 1]", "[Round ", "问：", "答：", "### Instruction:", "### Response:", "### Input:"),
    *("<think>", "</think>", "<think>\n\n</think>\n\n", "user: ", "assistant: "),
    *("{{ 1/0 }}", "{% for x in y %}", "<tool_call>", '{"role": "system"}'),
)
HALVES = (
    "<|im_",
    "start|>",
    "|>",
    "<",
    "/s>",
    ">",
    "[",
    "/INST]",
    "SYS>>",
    "###",
    " Response",
    ":",
)
UNSEEN = (
    *("\u2060", "\u200b", "\u00ad", "\ufeff", "\u0301", "\u202e", "\u0338"),
    *(
        "\ue0f0",
        "\ue0f1",
        "\ue0f3" * 8,
        "\ue0f4",
        "\ue0f5",
        "\U0010fffd",
        "\x00",
        "\x1b[2J",
        "\x7f",
    ),
    *("\r", "\n", "\t", "\u2028", "\x85", "\ud800", "\udfff", "\ud83d", "▁", "Ġ", "<0x0A>"),
)
ALIKE = ("［INST］", "＜＜SYS＞＞", "＜|im_start|＞", "###▁Response:", "＜/s＞", "问:", "[/INＳT]")

letters = st.characters(codec=None)
parts = st.sampled_from(MARKS + HALVES + UNSEEN + ALIKE) | st.text(letters, max_size=5)
#: Short and long ones, mostly made of what is dangerous.
texts = st.one_of(
    st.lists(parts, max_size=8).map("".join),
    st.text(letters, max_size=40),
    st.builds(lambda part, times: part * times, parts, st.sampled_from((1, 2, 50, 3000))),
).map(lambda text: f"{text}{CANARY}")
#: The same, and nothing at all.
maybe = texts | st.sampled_from(("", " ", "\n"))

numbers = st.one_of(
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from((0, -1, 1, True, 2**31, 2**63, 10**400, math.nan, math.inf, -0.0, 1e308)),
)
leaves = st.none() | st.booleans() | numbers | maybe
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(maybe | st.sampled_from(("text",)), inner)
    ),
    max_leaves=8,
)

content = st.one_of(
    maybe,
    st.lists(maybe | st.fixed_dictionaries({"type": st.just("text"), "text": maybe}), max_size=3),
    anything,
)
roles = st.sampled_from(("user", "assistant") * 4 + ("system", "tool", "developer", "", "User"))
entries = st.fixed_dictionaries(
    {"role": roles | anything, "content": content},
    optional={"reasoning_content": content, "metadata": anything, "options": anything},
)
histories = st.one_of(
    st.lists(entries, max_size=5),
    st.lists(entries | anything, max_size=5),
    st.lists(st.lists(maybe, min_size=2, max_size=2), max_size=2),
    anything,
)

NAMES = tuple(Sampling.model_fields)
VALID: dict[str, Any] = {
    "max_new_tokens": st.integers(1, 300),
    "temperature": st.floats(0, 2),
    "top_k": st.integers(-1, 1000) | st.just(3.0),
    "seed": st.integers(-1, 10**40),
    "thinking": st.sampled_from(("auto", "off", "on")),
    "thinking_budget": st.integers(0, 9),
    "stop": texts,
    "negative_prompt": texts,
    "logprobs": st.booleans(),
    "choices": texts,
    "regex": st.sampled_from(("[a-z]+", "(a|b)*c", "(", "\\d{3}")) | texts,
    "json_schema": st.sampled_from(('{"type": "object"}', "{}", "[", '{"type": 7}')) | texts,
}
valid = st.fixed_dictionaries({}, optional=VALID)
forged = st.dictionaries(st.sampled_from(NAMES), anything, max_size=3)


class Input(NamedTuple):
    """What is sent at once; nothing of it need be of its kind."""

    message: Any
    history: Any
    controls: dict[str, Any]
    system_prompt: Any = ""
    begun: Any = ""
    thought: Any = ""


#: Half of them could be a person's, but for what is written; the others nobody's.
inputs = st.one_of(
    st.builds(
        Input, texts, st.lists(entries, max_size=5), st.just({}) | valid, maybe, maybe, maybe
    ),
    st.builds(Input, texts, histories, valid, content, content, content),
    st.builds(Input, content, histories, forged | valid, anything, content, content),
)
