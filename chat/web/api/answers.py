"""The shapes of what is answered, for the description of the API; `reply` writes them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(extra="forbid")


class Model(Answer):
    """The model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    #: As Anthropic's clients read it.
    type: Literal["model"]
    display_name: str
    created_at: str


class ModelList(Answer):
    """All models that there are, which is one."""

    object: Literal["list"]
    data: list[Model]
    has_more: Literal[False]
    first_id: str
    last_id: str


class ThoughtTokens(Answer):
    """Of the tokens that were written, those that were thought."""

    reasoning_tokens: int


class CachedTokens(Answer):
    """Of the tokens of the prompt, those that lay in the prefix cache."""

    cached_tokens: int


class Usage(Answer):
    """How many tokens were read and written.

    Which of them lay in the cache is there if the engine says so, and which were thought if the
    model thinks.
    """

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens | None = None
    completion_tokens_details: ThoughtTokens | None = None


class Called(Answer):
    """A function, with its arguments in JSON."""

    name: str
    arguments: str


class ToolCall(Answer):
    """A call of a tool."""

    id: str
    type: Literal["function"]
    function: Called


class Said(Answer):
    """The assistant's next message."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    #: What was thought before it; absent if nothing was.
    reasoning_content: str = ""
    tool_calls: list[ToolCall] = []


class Likely(Answer):
    """A token, and its log probability."""

    token: str
    bytes: list[int]
    logprob: float


class Score(Likely):
    """One that was written, with the likeliest in its place."""

    top_logprobs: list[Likely]


class ChatScores(Answer):
    """How likely the tokens were."""

    content: list[Score]
    refusal: None


class TextScores(Answer):
    """How likely the tokens were, in lists of the same length."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class ChatChoice(Answer):
    """A reply, and why it ended."""

    index: int
    message: Said
    logprobs: ChatScores | None
    finish_reason: Literal["stop", "length", "tool_calls"]


class ChatCompletion(Answer):
    """A reply as a whole."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage


class CalledDelta(Answer):
    """What is new of a function that is called."""

    name: str = ""
    arguments: str


class ToolCallDelta(Answer):
    """What is new of a call; the first of them has its id."""

    index: int
    id: str = ""
    type: Literal["function"] = "function"
    function: CalledDelta


class Delta(Answer):
    """What is new of a reply."""

    role: Literal["assistant"] = "assistant"
    reasoning_content: str = ""
    content: str = ""
    tool_calls: list[ToolCallDelta] = []


class ChatChunkChoice(Answer):
    """A part of a reply; the last says why it ended."""

    index: int
    delta: Delta
    logprobs: ChatScores | None
    finish_reason: Literal["stop", "length", "tool_calls"] | None


class ChatCompletionChunk(Answer):
    """The data of one event of a streamed reply."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: Usage | None = None


class TextChoice(Answer):
    """What follows a text, or a part of it."""

    index: int
    text: str
    logprobs: TextScores | None
    finish_reason: Literal["stop", "length"] | None


class TextCompletion(Answer):
    """What follows a text, as a whole or as the data of one event."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage | None = None


class TokenIds(Answer):
    """What the model would read."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None


class Text(Answer):
    """The text of tokens."""

    prompt: str


class Fault(Answer):
    """What is wrong, in one sentence, and the field that is to blame."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(Answer):
    """An error."""

    error: Fault


class OpenAPI(BaseModel):
    """A description like this one."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
