"""Chat templates of models that think, written as those of real ones are, and what speaks so."""

from collections.abc import Callable
from typing import Any

from transformers import PreTrainedTokenizerFast

from chat.core.chat import Chat
from prompts.marks import tag
from tests.support import tiny
from tests.support.fakes import LineFormat, ScriptedEngine
from tests.support.programs import Programs
from tests.support.tools import speaking

QWEN3 = """\
{%- macro call(function) -%}
    {{- '<tool_call>\\n{"name": "' + function.name + '", "arguments": ' }}
    {{- function.arguments if function.arguments is string else function.arguments | tojson }}
    {{- '}\\n</tool_call>' }}
{%- endmacro -%}
{%- set first = messages[0].content if messages[0].role == 'system' else '' %}
{%- if tools %}
    {{- '<|im_start|>system\\n' }}{%- if first %}{{- first + '\\n\\n' }}{%- endif %}
    {{- 'You may call these:\\n<tools>' }}
    {%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}
    {{- '\\n</tools>\\nIn this way:\\n<tool_call>\\n{"name": <name>}\\n</tool_call><|im_end|>\\n' }}
{%- elif first %}
    {{- '<|im_start|>system\\n' + first + '<|im_end|>\\n' }}
{%- endif %}
{#- What was thought is shown again in the turn that goes on, after the last question. #}
{%- set last = namespace(query=messages | length - 1) %}
{%- for message in messages %}
    {%- if message.role == 'user' and not message.content.startswith('<tool_response>') %}
        {%- set last.query = loop.index0 %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {%- set content = message.content %}
        {%- set thought = '' %}
        {%- if message.reasoning_content is string %}
            {%- set thought = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1] %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\\n' }}
        {%- if loop.index0 > last.query and (loop.last or thought) %}
            {{- '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- content }}
        {%- endif %}
        {%- for one in message.tool_calls or [] %}
            {%- if content or not loop.first %}{{- '\\n' }}{%- endif %}
            {{- call(one.function) }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- elif not (loop.first and message.role == 'system') %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""
#: One that always thinks, as DeepSeek-R1's and Qwen's later ones do: its prompt begins a thought.
ALWAYS = QWEN3.replace(
    """    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
""",
    "    {{- '<think>\\n' }}\n",
)
#: One that can be told how hard to think, as gpt-oss can, and takes certain ways of saying so.
EFFORTS = """\
{%- if effort_is_known is defined %}{{- raise_exception('Nobody knows that.') }}{%- endif %}
{%- set effort = reasoning_effort if reasoning_effort is defined else 'medium' %}
{%- if effort is not string %}{{- raise_exception('reasoning_effort is a word') }}{%- endif %}
{{- '<|im_start|>system\\nReasoning: ' + effort + '<|im_end|>\\n' }}
"""
EFFORTS += QWEN3


def qwen3(template: str = QWEN3) -> PreTrainedTokenizerFast:
    """Return a tokenizer like Qwen3's, to which its marks are tokens, but no special ones."""
    tokenizer = tiny.chatml_tokenizer()
    tokenizer.add_tokens(["<think>", "</think>", "<tool_call>", "</tool_call>"])
    tokenizer.chat_template = template
    return tokenizer


def thinker(script: Callable[[str], str], template: str = QWEN3, **settings: Any) -> Programs:
    """Return programs that ask a model with a template like Qwen3's."""
    chat: Chat = speaking(qwen3(template), script)
    engine: Any = chat.engine
    return Programs(engine, chat=chat, **settings)


def by_letters(script: Callable[[str], str], partly: str = "", **settings: Any) -> Programs:
    """Return programs that ask a model without a template, one character to a token."""
    format = LineFormat()
    format.thoughts = tag("think")
    return Programs(ScriptedEngine(script, partly=partly), format=format, **settings)
