"""The shapes of what is answered, for the description of the API; `reply` writes them."""

from typing import Any, Literal

from chat.web.api.answers import Answer


class ThoughtBlock(Answer):
    """What was thought; its signature says nothing, and every one is taken back."""

    type: Literal["thinking"]
    thinking: str
    signature: str


class SaidBlock(Answer):
    """A text."""

    type: Literal["text"]
    text: str


class CalledBlock(Answer):
    """A call of a tool; in a stream what it is given comes in parts, in JSON."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class MessageEnd(Answer):
    """Why a message ended, and the stop sequence at which it did, if it was one."""

    stop_reason: (
        Literal[
            "end_turn",
            "max_tokens",
            "model_context_window_exceeded",
            "stop_sequence",
            "tool_use",
        ]
        | None
    )
    stop_sequence: str | None


class ThoughtTokens(Answer):
    """Of the tokens that were written, those that were thought."""

    thinking_tokens: int


class MessageUsage(Answer):
    """How many tokens were read and written; which of them were known is not counted."""

    input_tokens: int
    output_tokens: int
    output_tokens_details: ThoughtTokens | None = None
    cache_creation_input_tokens: int
    cache_read_input_tokens: int


class AssistantMessage(MessageEnd):
    """The assistant's next message; as a stream begins, it is empty and has not ended."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[ThoughtBlock | SaidBlock | CalledBlock]
    usage: MessageUsage


class ThoughtDelta(Answer):
    """What is new of a thought."""

    type: Literal["thinking_delta"]
    thinking: str


class SignatureDelta(Answer):
    """The signature of a thought, at its end."""

    type: Literal["signature_delta"]
    signature: str


class SaidDelta(Answer):
    """What is new of a text."""

    type: Literal["text_delta"]
    text: str


class InputDelta(Answer):
    """What is new of what a tool is given, in JSON."""

    type: Literal["input_json_delta"]
    partial_json: str


class MessageEvent(Answer):
    """The data of one event of a streamed message, of which `type` is the event's name too."""

    type: Literal[
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    #: With message_start.
    message: AssistantMessage | None = None
    #: The place of a block, with all events of one.
    index: int = 0
    #: With content_block_start.
    content_block: ThoughtBlock | SaidBlock | CalledBlock | None = None
    #: With content_block_delta and message_delta.
    delta: ThoughtDelta | SignatureDelta | SaidDelta | InputDelta | MessageEnd | None = None
    #: With message_delta.
    usage: MessageUsage | None = None


class MessageFault(Answer):
    """What is wrong, in one sentence."""

    type: str
    message: str
    #: By which clients know what to do about it.
    details: dict[str, str] | None = None


class MessageError(Answer):
    """An error."""

    type: Literal["error"]
    error: MessageFault
    request_id: str | None = None


class InputTokens(Answer):
    """How many tokens would be read."""

    input_tokens: int
