"""chat.web.api.fields: what is accepted beside what is offered, since it does no harm."""

import inspect
from typing import Any

import pytest
from openai import types

from chat.core.sampling import Sampling
from chat.web.api import fields
from chat.web.api.anthropic.shapes import MessagesBody
from chat.web.api.messages import ChatMessage, Part, ToolCall
from chat.web.api.request import NAMES, SCORES
from chat.web.api.shape import Shape
from chat.web.api.shapes import (
    ChatBody,
    CompletionBody,
    NamedSchema,
    RequestBody,
    ResponseFormat,
    StreamOptions,
)
from chat.web.api.tokenize import TokenizeBody
from tests.support.fakes import ScriptedEngine
from tests.support.programs import HI, Programs

#: As clients send them: OpenAI's own, LangChain, LiteLLM, Open WebUI, LM Studio, SillyTavern.
SENT: dict[str, Any] = {
    "tools": [],
    "tool_choice": "none",
    "functions": [],
    "function_call": "auto",
    "parallel_tool_calls": True,
    "metadata": {"trace": "a"},
    "store": True,
    "service_tier": "auto",
    "reasoning_effort": "low",
    "reasoning": {"effort": "low"},
    "verbosity": "low",
    "modalities": ["text"],
    "prompt_cache_key": "a",
    "prompt_cache_retention": "24h",
    "safety_identifier": "a",
    "prediction": {"type": "content", "content": "a"},
    "user": "ann",
    "n": 1,
    "best_of": 1,
    "logprobs": False,
    "top_logprobs": 0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0,
    "logit_bias": {},
    "chat_template_kwargs": {"enable_thinking": False},
    "add_generation_prompt": True,
    "continue_final_message": False,
    "skip_special_tokens": True,
    "ignore_eos": False,
    "stop_token_ids": [],
    "bad_words": [],
    "cache_prompt": True,
    "id_slot": -1,
    "timings_per_token": True,
    "n_probs": 0,
    "samplers": ["top_k"],
    "typical_p": 1,
    "tfs_z": 1.0,
    "mirostat": 0,
    "mirostat_tau": 5.0,
    "dry_multiplier": 0.8,
    "xtc_probability": 0,
    "repeat_last_n": 64,
    "keep_alive": "5m",
    "num_ctx": 4096,
    "think": False,
    "grammar": "",
    "suffix": "",
}


@pytest.mark.parametrize("name", SENT)
async def test_what_does_no_harm_is_accepted_without_a_word(name: str) -> None:
    for value in (SENT[name], None):
        programs = Programs(ScriptedEngine(), strict_api=True)
        answer = await programs.chats(**{name: value})
        assert answer.status_code == 200, answer.text
        assert "x-ignored-fields" not in answer.headers
        assert programs.engine.samplings == [Sampling()]


async def test_all_of_it_at_once_changes_nothing() -> None:
    programs = Programs(ScriptedEngine(lambda prompt: "ok"))
    for asked in (programs.chats(**SENT), programs.chats(**SENT, stream=True)):
        answer = await asked
        assert answer.status_code == 200, answer.text
        assert "x-ignored-fields" not in answer.headers
    body = {**SENT, "continue_final_message": None}
    assert (await programs.completes(**body)).status_code == 200


def names(*typed: Any) -> set[str]:
    """Return the fields of dictionaries as OpenAI's package types them."""
    return {name for one in typed for base in one.__mro__ for name in inspect.get_annotations(base)}


def known(shape: type[Shape]) -> set[str]:
    offered = {field.alias or name for name, field in shape.model_fields.items()}
    controls = {*Sampling.model_fields, *NAMES} if issubclass(shape, RequestBody) else set()
    return offered | controls | {*shape.known.harmless, *shape.known.off, *shape.known.refused}


@pytest.mark.parametrize(
    ("typed", "shape"),
    [
        (types.chat.completion_create_params.CompletionCreateParamsStreaming, ChatBody),
        (types.completion_create_params.CompletionCreateParamsStreaming, CompletionBody),
        (types.chat.ChatCompletionSystemMessageParam, ChatMessage),
        (types.chat.ChatCompletionDeveloperMessageParam, ChatMessage),
        (types.chat.ChatCompletionUserMessageParam, ChatMessage),
        (types.chat.ChatCompletionAssistantMessageParam, ChatMessage),
        (types.chat.ChatCompletionToolMessageParam, ChatMessage),
        (types.chat.ChatCompletionFunctionMessageParam, ChatMessage),
        (types.chat.ChatCompletionMessageFunctionToolCallParam, ToolCall),
        (types.chat.ChatCompletionContentPartTextParam, Part),
        (types.chat.ChatCompletionStreamOptionsParam, StreamOptions),
        (types.shared_params.ResponseFormatJSONSchema, ResponseFormat),
        (types.shared_params.response_format_json_schema.JSONSchema, NamedSchema),
    ],
    ids=lambda one: one.__name__,
)
def test_all_that_openais_own_package_can_send_is_known(typed: Any, shape: type[Shape]) -> None:
    assert names(typed) - known(shape) == set()


MESSAGE: dict[str, Any] = {
    "refusal": None,
    "annotations": [],
    "audio": None,
    "function_call": None,
    "tool_calls": [],
    "reasoning_content": "Let me think.",
    "reasoning": "Let me think.",
    "id": "msg_1",
    "images": [],
    "cache_control": {"type": "ephemeral"},
    "prefix": True,
}


@pytest.mark.parametrize("name", MESSAGE)
async def test_a_message_may_be_sent_back_as_clients_hold_it(name: str) -> None:
    programs = Programs(ScriptedEngine(), strict_api=True)
    reply = {"role": "assistant", "content": "hello", name: MESSAGE[name]}
    answer = await programs.chats(messages=[*HI, reply, *HI])
    assert answer.status_code == 200, answer.text
    assert "user: hi\0assistant: hello\0user: hi\0" in programs.engine.prompts[0]


@pytest.mark.parametrize(
    "known",
    [fields.CHAT, fields.COMPLETION, fields.MESSAGES, fields.MESSAGE, fields.PART, fields.BLOCK],
)
def test_each_field_is_in_one_table_with_a_reason(known: fields.Known) -> None:
    names = [*known.harmless, *known.off, *known.refused]
    assert len(names) == len(set(names))
    assert all(reason.endswith(".") for reason in known.harmless.values())


@pytest.mark.parametrize("shape", [ChatBody, CompletionBody, MessagesBody, TokenizeBody])
def test_what_is_offered_is_in_none_of_them(shape: type[Shape]) -> None:
    offered = {*shape.model_fields}
    if issubclass(shape, RequestBody):
        offered |= {*Sampling.model_fields, *NAMES}
        offered -= {*SCORES} if shape.logprobs_by == "none" else set()
    assert not offered & {*shape.known.harmless, *shape.known.off, *shape.known.refused}
