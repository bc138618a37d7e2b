"""Chat templates that know tools, written as those of real models are, and tokenizers for them."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from transformers import PreTrainedTokenizerFast

import prompts
from chat.core.chat import Chat
from chat.core.gate import Gate
from chat.core.sampling import Sampling
from chat.core.tokens import FastTokens
from prompts import Control, Message, PromptFormat, Tool, Tooled
from tests.support import tiny
from tests.support.fakes import ScriptedEngine

HERMES = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- 'You may call these:\\n<tools>' }}
    {%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}
    {{- '\\n</tools>\\nIn this way:\\n<tool_call>\\n{"name": <name>}\\n</tool_call><|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- elif message.role != 'system' or not loop.first %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content }}
        {%- for call in message.tool_calls or [] %}
            {%- if message.content or not loop.first %}{{- '\\n' }}{%- endif %}
            {{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
            {{- call.function.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""

LLAMA3 = """\
{{- bos_token }}
{%- if messages[0].role == 'system' %}
    {%- set system = messages[0].content %}{%- set messages = messages[1:] %}
{%- else %}{%- set system = '' %}{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}
{%- if tools %}
    {{- 'Answer with JSON to call one of these:\\n\\n' }}
    {%- for tool in tools %}{{- tool | tojson(indent=4) }}{{- '\\n\\n' }}{%- endfor %}
{%- endif %}
{{- system + '<|eot_id|>' }}
{%- for message in messages %}
    {%- if message.role in ('tool', 'ipython') %}
        {{- '<|start_header_id|>ipython<|end_header_id|>\\n\\n' }}
        {{- message.content | tojson }}{{- '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if message.tool_calls | length != 1 %}
            {{- raise_exception('This model only supports single tool-calls at once!') }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
        {{- '{"name": "' + call.name + '", "parameters": ' }}
        {{- call.arguments | tojson }}{{- '}<|eot_id|>' }}
    {%- else %}
        {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}
        {{- message.content | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

MISTRAL = """\
{{- bos_token }}
{%- if messages[0].role == 'system' %}
    {%- set system = messages[0].content + '\\n\\n' %}{%- set messages = messages[1:] %}
{%- else %}{%- set system = '' %}{%- endif %}
{%- set last = namespace(user=-1) %}
{%- for message in messages %}
    {%- if message.role == 'user' %}{%- set last.user = loop.index0 %}{%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {%- if tools and loop.index0 == last.user %}
            {{- '[AVAILABLE_TOOLS] ' }}{{- tools | tojson }}{{- '[/AVAILABLE_TOOLS]' }}
        {%- endif %}
        {{- '[INST] ' + (system if loop.first else '') + message.content + '[/INST]' }}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        CALLS
        {{- eos_token }}
    {%- elif message.role == 'tool' %}
        {%- if message.tool_call_id is undefined or message.tool_call_id | length != 9 %}
            {{- raise_exception('Tool call IDs should be strings with length 9!') }}
        {%- endif %}
        {{- '[TOOL_RESULTS] {"content": ' }}{{- message.content | tojson }}
        {{- ', "call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- elif message.role == 'assistant' %}
        {{- ' ' + message.content + eos_token }}
    {%- else %}
        {{- raise_exception('Only user, assistant and tool roles are supported!') }}
    {%- endif %}
{%- endfor %}
"""
MISTRAL_7B = MISTRAL.replace(
    "CALLS",
    """\
{{- '[TOOL_CALLS] [' }}
        {%- for call in message.tool_calls %}
            {%- set out = call.function | tojson %}{{- out[:-1] }}
            {%- if call.id | length != 9 %}
                {{- raise_exception('Tool call IDs should be strings with length 9!') }}
            {%- endif %}
            {{- ', "id": "' + call.id + '"}' }}{{- ', ' if not loop.last else '' }}
        {%- endfor %}
        {{- ']' }}""",
)
MISTRAL_SMALL = MISTRAL.replace(
    "CALLS",
    """\
{%- for call in message.tool_calls %}
            {{- '[TOOL_CALLS]' + call.function.name + '[ARGS]' }}
            {{- call.function.arguments | tojson }}
        {%- endfor %}""",
)
#: Calls that are no JSON, as Qwen3-Coder's, and what transformers reads them by.
XML = HERMES.replace(
    """{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
            {{- call.function.arguments | tojson }}
            {{- '}\\n</tool_call>' }}""",
    """{{- '<tool_call>\\n<function=' + call.function.name + '>\\n' }}
            {%- for key, value in call.function.arguments | items %}
                {{- '<parameter=' + key + '>\\n' + value | string + '\\n</parameter>\\n' }}
            {%- endfor %}
            {{- '</function>\\n</tool_call>' }}""",
)
RESPONSE = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "tool_calls": {
            "open_pattern": r"\s*<tool_call>\s*<function=(?P<name>[^>\n]+)>",
            "close_pattern": r"</function>\s*</tool_call>",
            "repeats": True,
            "content": "xml-inline",
            "content_args": {
                "tag_pattern": r"<parameter=(?P<key>[^>\n]+)>\s*(?P<value>.*?)\s*</parameter>"
            },
            "transform": {
                "type": "function",
                "function": {"name": "{name}", "arguments": "{content}"},
            },
        },
        "content": {"content": "text"},
    },
}

PLACE = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("get_weather", "Tells the weather.", PLACE)
TIME = Tool("get_time", "Tells the time.", {})


def hermes() -> PreTrainedTokenizerFast:
    """Return one like Qwen's, to which <tool_call> is a token, but not a special one."""
    return _with(tiny.chatml_tokenizer(), HERMES, ["<tool_call>", "</tool_call>"], special=False)


def llama3() -> PreTrainedTokenizerFast:
    """Return one like that of Llama 3.1 and later, whose calls are JSON and nothing else."""
    return _with(tiny.llama3_tokenizer(), LLAMA3, [])


def mistral() -> PreTrainedTokenizerFast:
    """Return one like Mistral 7B's, whose marks are special tokens."""
    return _with(tiny.llama2_tokenizer(), MISTRAL_7B, MISTRAL_MARKS)


def mistral_small() -> PreTrainedTokenizerFast:
    """Return one like that of Mistral's later models, which write the name before the JSON."""
    return _with(tiny.llama2_tokenizer(), MISTRAL_SMALL, [*MISTRAL_MARKS, "[ARGS]"])


def xml() -> PreTrainedTokenizerFast:
    """Return one whose calls are no JSON, but which says how a reply is read."""
    tokenizer = _with(tiny.chatml_tokenizer(), XML, [])
    tokenizer.response_template = RESPONSE
    return tokenizer


MISTRAL_MARKS = ["[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"]
MISTRAL_MARKS += ["[TOOL_RESULTS]", "[/TOOL_RESULTS]"]
FAMILIES = {
    "hermes": hermes,
    "llama3": llama3,
    "mistral": mistral,
    "mistral_small": mistral_small,
}


def _with(
    tokenizer: Any, template: str, marks: list[str], *, special: bool = True
) -> PreTrainedTokenizerFast:
    tokenizer.add_tokens(marks, special_tokens=special)
    tokenizer.chat_template = template
    return tokenizer


def rendered(tokenizer: Any, messages: Sequence[Message], offered: Sequence[Tool] = ()) -> str:
    """Return what transformers makes of messages and tools."""
    entries: list[dict[str, Any]] = []
    for message in messages:
        entries.append(dict(message.entry))
        if message.calls:
            entries[-1]["tool_calls"] = [
                {
                    "type": "function",
                    "id": call.id,
                    "function": {"name": call.name, "arguments": json.loads(call.arguments)},
                }
                for call in message.calls
            ]
        if message.role == "tool":
            entries[-1] |= {"name": message.name, "tool_call_id": message.call_id}
    described = [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": {"type": "object", "properties": {}, **tool.parameters},
            },
        }
        for tool in offered
    ]
    text = tokenizer.apply_chat_template(
        entries, tools=described or None, tokenize=False, add_generation_prompt=True
    )
    return str(text)


class Speaker(ScriptedEngine):
    """Says what a script makes of a prompt, in the tokens of a real tokenizer."""

    supports = frozenset({"choices", "regex", "json_schema"})
    window = 4000
    #: Tokens that come at once.
    batch = 9

    def __init__(self, tokenizer: Any, script: Callable[[str], str]) -> None:
        super().__init__(script)
        self._tokens = FastTokens(tokenizer)
        self.stop_ids = frozenset(self._tokens.stop_ids([]))

    async def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int] = (),
        session: str = "",
    ) -> AsyncGenerator[list[int]]:
        text = self._tokens.show(prompt)
        self.prompts.append(text)
        self.samplings.append(sampling)
        ids = self._tokens.encode([Control(self.script(text))])
        ids = [*ids, min(self.stop_ids)][: sampling.max_new_tokens]
        for place in range(0, len(ids), self.batch):
            await asyncio.sleep(0)
            yield ids[place : place + self.batch]


#: How models are prompted, by all that their tokenizers have: to look at a template takes a while.
_FORMATS: dict[tuple[str, ...], tuple[PromptFormat, Tooled | None]] = {}


def speaking(tokenizer: Any, script: Callable[[str], str]) -> Chat:
    """Return a chat with a model of this tokenizer, which knows tools if its template does."""
    engine = Speaker(tokenizer, script)
    has = tokenizer.chat_template, tokenizer.special_tokens_map
    known = (tokenizer.backend_tokenizer.to_str(), *map(str, has))
    if known not in _FORMATS:
        _FORMATS[known] = prompts.choose(tokenizer), prompts.tooled(tokenizer)
    format, tooled = _FORMATS[known]
    return Chat(engine, FastTokens(tokenizer), format, Gate(engine.parallel, 32), tooled=tooled)
