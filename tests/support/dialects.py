"""Chat templates whose calls have marks of several parts, as real ones write them."""

from collections.abc import Callable
from typing import Any

from transformers import PreTrainedTokenizerFast

from prompts.base import Read
from tests.support import tiny, tools

#: A template, but for how it writes the calls of a message.
HEAD = """\
{%%- if tools %%}
    {{- '<|im_start|>system\\n' }}{{- tools | tojson }}{{- '<|im_end|>\\n' }}
{%%- endif %%}
{%%- for message in messages %%}
    {{- '<|im_start|>' + message.role + '\\n' + message.content }}
    {%%- if message.tool_calls %%}
        %s
    {%%- endif %%}
    {{- '<|im_end|>\\n' }}
{%%- endfor %%}
{%%- if add_generation_prompt %%}{{- '<|im_start|>assistant\\n' }}{%%- endif %%}
"""
#: Counts the calls of a message (Kimi K2).
KIMI = (
    HEAD
    % """\
{{- '<|tool_calls_section_begin|>' }}
        {%- for call in message.tool_calls %}
            {{- '<|tool_call_begin|>functions.' + call.function.name + ':' + loop.index0 | string }}
            {{- '<|tool_call_argument_begin|>' }}{{- call.function.arguments | tojson }}
            {{- '<|tool_call_end|>' }}
        {%- endfor %}
        {{- '<|tool_calls_section_end|>' }}"""
)
#: The name is a key of an object (Apertus).
APERTUS = (
    HEAD
    % """\
{{- '<|tools_prefix|>[' }}
        {%- for call in message.tool_calls %}
            {{- '{"' + call.function.name + '": ' }}{{- call.function.arguments | tojson }}
            {{- '}' }}{%- if not loop.last %}{{- ', ' }}{%- endif %}
        {%- endfor %}
        {{- ']<|tools_suffix|>' }}"""
)
#: Ends a message with calls in another way than one without (Functionary 3.1).
FUNCTIONARY = (
    HEAD.replace(
        "{{- '<|im_end|>\\n' }}\n{%%- endfor",
        """\
{{- '<|eom_id|>' if message.tool_calls else '<|im_end|>' }}
{%%- endfor""",
    )
    % """\
{%- for call in message.tool_calls %}
            {{- '<function=' + call.function.name + '>' }}
            {{- call.function.arguments | tojson }}{{- '</function>' }}
        {%- endfor %}"""
)
#: Each call has marks within those of them all (DeepSeek).
NESTED = (
    HEAD
    % """\
{{- '<|calls|>' }}
        {%- for call in message.tool_calls %}
            {{- '<|call|>function<|sep|>' + call.function.name + '\\n```json\\n' }}
            {{- call.function.arguments | tojson }}{{- '\\n```<|end_call|>\\n' }}
        {%- endfor %}
        {{- '<|end_calls|>' }}"""
)
#: The same, of objects.
OBJECTS = (
    HEAD
    % """\
{{- '<|calls|>' }}
        {%- for call in message.tool_calls %}
            {{- '<|call|>' }}{{- call.function | tojson }}{{- '<|end_call|>' }}
        {%- endfor %}
        {{- '<|end_calls|>' }}"""
)
#: Writes the first call only, in another way than its model (gpt-oss).
HARMONY = """\
{{- '<|start|>system<|message|>Valid channels: analysis, commentary, final.<|end|>' }}
{%- if tools %}
    {{- '<|start|>developer<|message|>' }}{{- tools | tojson }}{{- '<|end|>' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.tool_calls %}
        {%- set call = message.tool_calls[0].function %}
        {%- if message.thinking and message.content %}
            {{- raise_exception('Not both.') }}
        {%- endif %}
        {%- if message.thinking %}
            {{- '<|start|>assistant<|channel|>analysis<|message|>' + message.thinking + '<|end|>' }}
        {%- endif %}
        {{- '<|start|>assistant to=functions.' + call.name }}
        {{- '<|channel|>commentary json<|message|>' }}
        {{- call.arguments | tojson }}{{- '<|call|>' }}
    {%- elif message.role == 'tool' %}
        {{- '<|start|>functions.' + message.name }}
        {{- ' to=assistant<|channel|>commentary<|message|>' }}
        {{- message.content | tojson }}{{- '<|end|>' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|end|>' }}
    {%- else %}
        {{- '<|start|>' + message.role + '<|message|>' + message.content + '<|end|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{%- endif %}
"""

SECTION = ["<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"]
SECTION += ["<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"]
NESTING = ["<|calls|>", "<|call|>", "<|sep|>", "<|end_call|>", "<|end_calls|>"]
CHANNELS = ["<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|call|>"]


def _family(template: str, marks: list[str]) -> Callable[[], PreTrainedTokenizerFast]:
    def tokenizer() -> PreTrainedTokenizerFast:
        made: PreTrainedTokenizerFast = tiny.chatml_tokenizer()
        made.add_tokens(marks, special_tokens=True)
        made.chat_template = template
        return made

    return tokenizer


FAMILIES = {
    "kimi": _family(KIMI, SECTION),
    "apertus": _family(APERTUS, ["<|tools_prefix|>", "<|tools_suffix|>"]),
    "functionary": _family(FUNCTIONARY, ["<|eom_id|>"]),
    "nested": _family(NESTED, NESTING),
    "objects": _family(OBJECTS, NESTING),
    "harmony": _family(HARMONY, CHANNELS),
}

ROME = '{"city": "Rome"}'
#: What their models write to call two tools.
TWO = {
    "kimi": "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:2"
    f"<|tool_call_argument_begin|>{ROME}<|tool_call_end|><|tool_call_begin|>functions.get_time:13"
    "<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
    "apertus": f'<|tools_prefix|>[{{"get_weather": {ROME}}}, {{"get_time": {{}}}}]<|tools_suffix|>',
    "functionary": f"<function=get_weather>{ROME}</function><function=get_time>{{}}</function>",
    "nested": f"<|calls|><|call|>function<|sep|>get_weather\n```json\n{ROME}\n```<|end_call|>\n"
    "<|call|>function<|sep|>get_time\n```json\n{}\n```<|end_call|>\n<|end_calls|>",
    "objects": f'<|calls|><|call|>{{"name": "get_weather", "arguments": {ROME}}}<|end_call|>'
    '<|call|>{"name": "get_time", "arguments": {}}<|end_call|><|end_calls|>',
}
#: In how many ways gpt-oss calls a tool.
HARMONIES = [
    f"<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{ROME}",
    f"<|channel|>commentary to=functions.get_weather json<|message|>{ROME}<|call|>",
    f"<|channel|>commentary to=functions.get_weather<|message|>{ROME}",
    f"<|channel|>analysis to=functions.get_weather code<|message|>{ROME}",
    f" to=functions.get_weather<|channel|>commentary <|constrain|>json<|message|>{ROME}",
    f" to=functions.get_weather<|channel|>commentary json<|message|>{ROME}",
]


def parsed(open_pattern: str = "<tool_call>", close_pattern: str = "</tool_call>") -> Any:
    """A tokenizer whose own parser reads the calls between these marks."""
    tokenizer = tools.hermes()
    calls = {
        "open_pattern": open_pattern,
        "close_pattern": close_pattern,
        "repeats": True,
        "content": "json",
        "transform": {"type": "function", "function": "{content}"},
    }
    tokenizer.response_template = {
        "defaults": {"role": "assistant"},
        "start_anchor": "<|im_start|>assistant\n",
        "fields": {"tool_calls": calls, "content": {"content": "text"}},
    }
    return tokenizer


def assert_grown(before: Read, now: Read) -> None:
    """Assert that nothing of what was read is taken back."""
    assert now.content.startswith(before.content)
    for old, new in zip(before.calls, now.calls, strict=False):
        assert new.name == old.name
        assert new.arguments.startswith(old.arguments)
    assert len(now.calls) >= len(before.calls)
