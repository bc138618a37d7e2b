"""What is asked for: ids to continue, and the controls by the names that vLLM has for them."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from chat.backend.models import adapter_named
from chat.core.chat import Chat
from chat.core.fitting import CHARACTERS_PER_TOKEN
from chat.core.sampling import Sampling, SamplingFields
from chat.core.schema.letters import json_of
from chat.core.tokens import Tokens
from chat.errors import BadRequest, RequestError, TooLong
from chat.settings import Settings
from chat.web.api.request import read
from chat.web.api.shape import ListOf, Shape, unfit
from prompts import Control

#: Without this vLLM answers with a text, which there is none of here.
RETURNED = "return_token_ids"
#: Bytes of a token id in JSON, at most, and of all that is no id.
BYTES_PER_ID, BYTES_BESIDE = 12, 1_000_000


def _prompt(prompt: Any) -> Any:
    if isinstance(prompt, str):
        return prompt
    if not (isinstance(prompt, list) and all(type(id) is int for id in prompt)):
        raise unfit("must be token ids, or a text")
    return prompt


class Ties(Shape):
    """What the reply has to fit: one of these."""

    choice: Any = None
    regex: Any = None
    schema_: Any = Field(None, alias="json")


class Controls(Shape):
    """What `Sampling` checks, by the names that vLLM has for it."""

    max_tokens: Any = None
    min_tokens: Any = None
    temperature: Any = None
    top_p: Any = None
    top_k: Any = None
    min_p: Any = None
    repetition_penalty: Any = None
    presence_penalty: Any = None
    frequency_penalty: Any = None
    seed: Any = None
    logit_bias: Any = None
    guidance_scale: Any = None


class CompletionBody(Controls):
    """A request."""

    model: str = ""
    prompt: Annotated[str | list[int], BeforeValidator(_prompt)]
    stop_token_ids: ListOf[int] = Field(default_factory=list)
    logprobs: int | None = None
    structured_outputs: Ties | None = None
    negative_prompt_ids: ListOf[int] = Field(default_factory=list)
    stream: bool = False
    return_token_ids: bool = False


#: What `Sampling` calls the controls, and what ties a reply down.
CONTROLS = {name: name for name in Controls.model_fields} | {
    "max_tokens": "max_new_tokens",
    "min_tokens": "min_new_tokens",
}
TIES = {"choice": "choices", "regex": "regex", "schema_": "json_schema"}
#: The fields to blame, by what `Sampling` and `Chat` call them.
BLAMED = {
    **{control: name for name, control in CONTROLS.items()},
    **dict.fromkeys(TIES.values(), "structured_outputs"),
    "top_logprobs": "logprobs",
    "negative_prompt": "negative_prompt_ids",
    "adapter": "model",
}


@dataclass(frozen=True)
class Ask:
    """A request that can be answered."""

    #: What the model is called in the answer.
    model: str
    prompt: list[int]
    sampling: Sampling
    negative: list[int]
    #: The ids after which it ends, those of the engine and more.
    stop_ids: frozenset[int]
    stream: bool


def left_open(settings: Settings, suited: Mapping[str, Any]) -> dict[str, Any]:
    """Return the controls as they are for who says nothing of them, by `Sampling`'s names."""
    sampling = settings.sampling(suited)
    names = CONTROLS.values() & SamplingFields.model_fields.keys()
    return {name: getattr(sampling, name) for name in names}


def most_bytes(window: int) -> int:
    """Return how large a request may be: two prompts as long as the window, and the rest."""
    return 2 * BYTES_PER_ID * window + BYTES_BESIDE


@contextmanager
def blaming() -> Iterator[None]:
    """Have what is wrong with a control named as it is here."""
    try:
        yield
    except RequestError as error:
        error.field = BLAMED.get(error.field, error.field)
        raise


def asked(chat: Chat, own: Mapping[str, Any], sent: bytes) -> Ask:
    """Read a request; what it leaves open is as in `own`.

    Raises:
        BadRequest: it cannot be answered so; names the field.
        TooLong: prompt and reply do not fit the window.
        NoSuchModel: it is for another model.
    """
    request = read(CompletionBody, sent)
    request.check_known()
    body: CompletionBody = request.body
    if not body.return_token_ids:
        raise BadRequest(f"Here are token ids alone; send {RETURNED}: true.", RETURNED)
    adapter = adapter_named(chat, body.model)
    prompt, negative = _ids(chat, body), body.negative_prompt_ids
    for name, ids in (
        ("prompt", prompt),
        ("negative_prompt_ids", negative),
        ("stop_token_ids", body.stop_token_ids),
    ):
        _check_ids(name, ids, chat.tokens)
    with blaming():
        sampling = Sampling.checked(**{**own, **_values(body), "adapter": adapter})
        if body.structured_outputs and not sampling.tied:
            raise BadRequest("structured_outputs must have a choice, a regex or a json.", "regex")
        chat.check(sampling)
    left = chat.engine.window - max(len(prompt), len(negative))
    if left < (1 if body.max_tokens is None else sampling.max_new_tokens):
        raise TooLong(
            f"It has {len(prompt):,} tokens and its reply up to {sampling.max_new_tokens:,}; "
            f"together there is room for {chat.engine.window:,}.",
            "prompt",
        )
    stop_ids = chat.engine.stop_ids.union(body.stop_token_ids)
    if sampling.min_new_tokens and stop_ids > chat.engine.stop_ids:
        # Which the engine would have to keep from coming too early.
        raise BadRequest(
            "min_tokens can only be kept to without stop_token_ids that are not the model's own.",
            "min_tokens",
        )
    return Ask(
        model=body.model or chat.name,
        prompt=prompt,
        sampling=sampling.at_most(min(left, chat.longest or left)),
        negative=negative,
        stop_ids=stop_ids,
        stream=body.stream,
    )


def _ids(chat: Chat, body: CompletionBody) -> list[int]:
    """Return the ids of the prompt, of a text as it stands."""
    if not body.prompt:
        raise BadRequest("prompt must have at least one token.", "prompt")
    if not isinstance(body.prompt, str):
        return body.prompt
    if body.stream:
        raise BadRequest("What follows a text is not streamed; send token ids.", "stream")
    if len(body.prompt) > chat.engine.window * CHARACTERS_PER_TOKEN:
        raise TooLong(f"There is room for {chat.engine.window:,} tokens.", "prompt")
    return chat.tokens.encode([Control(body.prompt)])


def _check_ids(name: str, ids: Iterable[int], tokens: Tokens) -> None:
    for id in ids:
        if not tokens.knows(id):
            raise BadRequest(f"{name} has an id that is no token of this model.", name)


def _values(body: CompletionBody) -> dict[str, Any]:
    """Return the controls that a request has, by the names that `Sampling` has for them."""
    found = {control: getattr(body, name) for name, control in CONTROLS.items()}
    if body.logprobs is not None:
        found |= {"logprobs": True, "top_logprobs": body.logprobs}
    if ties := body.structured_outputs:
        found |= {control: getattr(ties, name) for name, control in TIES.items()}
        schema = ties.schema_
        if not (schema is None or isinstance(schema, str)):
            # No longer than it was written, since there is a limit.
            found["json_schema"] = json_of(schema)
    if body.negative_prompt_ids:
        # Its text is nowhere any more, but engines are asked whether they can keep away from one.
        found["negative_prompt"] = "as ids"
    return {control: value for control, value in found.items() if value is not None}
