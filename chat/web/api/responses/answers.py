"""The shapes of responses, for the description of the API; `writer` writes them."""

from typing import Any, Literal

from pydantic import BaseModel

from chat.web.api.answers import Answer, ThoughtTokens

Status = Literal["in_progress", "completed", "incomplete"]


class OutputText(Answer):
    """A text that the assistant says."""

    type: Literal["output_text"]
    text: str
    annotations: list[None]
    logprobs: list[None]


class InputText(Answer):
    """A text that the user's side says."""

    type: Literal["input_text"]
    text: str


class ReasoningText(Answer):
    """A text that the model thinks."""

    type: Literal["reasoning_text"]
    text: str


class OutputThought(Answer):
    """What the model thinks before it says or calls something; there are no summaries."""

    id: str
    type: Literal["reasoning"]
    status: Status
    summary: list[None]
    content: list[ReasoningText]


class OutputMessage(Answer):
    """What the assistant says."""

    id: str
    type: Literal["message"]
    status: Status
    role: Literal["assistant"]
    content: list[OutputText]


class OutputCall(Answer):
    """What the assistant calls, with its arguments in JSON."""

    id: str
    type: Literal["function_call"]
    status: Status
    name: str
    call_id: str
    arguments: str


class InputMessage(Answer):
    """What the user's side says."""

    id: str
    type: Literal["message"]
    status: Status
    role: Literal["user", "system"]
    content: list[InputText]


class InputResult(Answer):
    """What a call returned."""

    id: str
    type: Literal["function_call_output"]
    status: Status
    call_id: str
    output: str


class Cached(Answer):
    """Of the tokens that were read, those that lay in the prefix cache, if that is known."""

    cached_tokens: int
    cache_write_tokens: int


class ResponseUsage(Answer):
    """How many tokens were read and written."""

    input_tokens: int
    input_tokens_details: Cached
    output_tokens: int
    output_tokens_details: ThoughtTokens
    total_tokens: int


class Cut(Answer):
    """Why a response is incomplete."""

    reason: Literal["max_output_tokens"]


class Failed(Answer):
    """Why a response failed."""

    code: Literal["server_error", "invalid_prompt"]
    message: str


class Response(Answer):
    """A response, with what of the request is repeated in it."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    model: str
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    error: Failed | None
    incomplete_details: Cut | None
    output: list[OutputThought | OutputMessage | OutputCall]
    usage: ResponseUsage | None
    background: Literal[False]
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    previous_response_id: str | None
    reasoning: dict[str, str | None]
    service_tier: Literal["default"]
    store: bool
    temperature: float
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_p: float
    truncation: Literal["auto", "disabled"]


class ResponseEvent(BaseModel):
    """The data of one event of a streamed response, and its place among them."""

    type: str
    sequence_number: int


class ResponseItems(Answer):
    """A page of what a response answered."""

    object: Literal["list"]
    data: list[InputMessage | OutputThought | OutputMessage | OutputCall | InputResult]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Forgotten(Answer):
    """That a response is forgotten."""

    id: str
    object: Literal["response"]
    deleted: Literal[True]
