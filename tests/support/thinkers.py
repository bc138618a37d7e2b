"""Chat templates of the families of models that think, as real ones behave, and tokenizers."""

from typing import Any

from transformers import PreTrainedTokenizerFast

from tests.support import tiny
from tests.support.thinking import QWEN3

#: Begins a thought in the prompt, and cuts earlier ones out (DeepSeek-R1).
R1 = """\
{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {%- set said = message.content %}
        {%- if '</think>' in said %}{%- set said = said.split('</think>')[-1] %}{%- endif %}
        {{- '<|assistant|>' + said + eos_token }}
    {%- else %}{{- '<|' + message.role + '|>' + message.content }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|><think>\\n' }}{%- endif %}
"""

#: Keeps every thought, empty ones too, and has a switch in two places (GLM).
GLM = """\
[gMASK]
{%- for message in messages %}
    {{- '<|' + message.role + '|>\\n' }}
    {%- if message.role == 'assistant' %}
        {%- if message.reasoning_content %}
            {{- '<think>' + message.reasoning_content.strip() + '</think>\\n' }}
        {%- else %}{{- '<think></think>\\n' }}{%- endif %}
    {%- endif %}
    {{- message.content.strip() }}
    {%- if message.role == 'user' and enable_thinking is defined and not enable_thinking %}
        {{- '/nothink' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>' }}
    {%- if enable_thinking is defined and not enable_thinking %}
        {{- '\\n<think></think>' }}
    {%- endif %}
{%- endif %}
"""

#: Takes thoughts as parts of a content (Mistral).
MAGISTRAL = """\
{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'user' %}{{- '[INST]' + message.content + '[/INST]' }}
    {%- elif message.role == 'system' %}
        {{- '[SYSTEM_PROMPT]' + message.content + '[/SYSTEM_PROMPT]' }}
    {%- else %}
        {%- if message.content is string %}{{- message.content }}
        {%- else %}
            {%- for block in message.content %}
                {%- if block['type'] == 'thinking' %}
                    {{- '[THINK]' + block['thinking'] + '[/THINK]' }}
                {%- else %}{{- block['text'] }}{%- endif %}
            {%- endfor %}
        {%- endif %}
        {{- eos_token }}
    {%- endif %}
{%- endfor %}
"""

#: Channels, an effort, and thoughts under a name of its own (gpt-oss).
HARMONY = """\
{{- '<|start|>system<|message|>Reasoning: ' + (reasoning_effort or 'medium') + '<|end|>' }}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {%- if '<|channel|>analysis<|message|>' in message.content %}
            {{- raise_exception('Send the analysis in the thinking field.') }}
        {%- endif %}
        {%- if message.thinking and loop.last %}
            {{- '<|start|>assistant<|channel|>analysis<|message|>' + message.thinking }}
            {{- '<|end|>' }}
        {%- endif %}
        {{- '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|end|>' }}
    {%- else %}
        {{- '<|start|>' + message.role + '<|message|>' + message.content + '<|end|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{%- endif %}
"""

#: Has marks around the reply too (Cohere).
COHERE = """\
{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|CHATBOT_TOKEN|>' }}
        {%- if message.reasoning_content %}
            {{- '<|START_THINKING|>' + message.reasoning_content + '<|END_THINKING|>' }}
        {%- endif %}
        {{- '<|START_RESPONSE|>' + message.content + '<|END_RESPONSE|>' }}
    {%- else %}{{- '<|USER_TOKEN|>' + message.content }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|CHATBOT_TOKEN|>' }}{%- endif %}
"""

TAGS = ["<think>", "</think>"]
CHANNELS = ["<|start|>", "<|end|>", "<|message|>", "<|channel|>"]
RESPONSES = ["<|START_THINKING|>", "<|END_THINKING|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>"]
ROLES = ["<|system|>", "<|user|>", "<|assistant|>"]

#: The template of each family, the tokens that it adds, and whether those are special.
FAMILIES: dict[str, tuple[str, list[str], bool]] = {
    "qwen3": (QWEN3, TAGS, False),
    "r1": (R1, [*TAGS, *ROLES], False),
    "glm": (GLM, [*TAGS, *ROLES, "[gMASK]"], True),
    "magistral": (MAGISTRAL, ["[THINK]", "[/THINK]", "[INST]", "[/INST]"], True),
    "harmony": (HARMONY, CHANNELS, True),
    "cohere": (COHERE, [*RESPONSES, "<|CHATBOT_TOKEN|>", "<|USER_TOKEN|>"], True),
}
#: Where its messages hold what was thought.
THOUGHT_IN = dict.fromkeys(FAMILIES, "reasoning_content") | {"harmony": "thinking"}


def tokenizer(family: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of a family."""
    template, tokens, special = FAMILIES[family]
    made = tiny.chatml_tokenizer()
    made.add_tokens(tokens, special_tokens=special)
    made.chat_template = template
    return made


def entry(family: str, role: str, content: str, thought: str) -> dict[str, Any]:
    """Return a message as the template of a family takes it."""
    if not thought:
        return {"role": role, "content": content}
    if family == "magistral":
        parts = [{"type": "thinking", "thinking": thought}, {"type": "text", "text": content}]
        return {"role": role, "content": parts}
    return {"role": role, "content": content, THOUGHT_IN[family]: thought}
