"""The controls of one generation, checked in one place, whoever sends them.

They come from a page, but anyone can call the API, where NaN, True and "5"
arrive as they are: `generate(max_new_tokens=nan)` never ends. So each value is
checked strictly, and refused with the name that the page shows.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from chat.core.constraints import one_of, plain
from chat.core.explain import explain
from chat.core.schema.fitting import LONGEST_SCHEMA, fitting
from chat.errors import BadRequest

#: Stop strings are looked for after each token. Choices are as many as there may be tools, of
#: whose names one is chosen.
MAX_LINES, MAX_CHOICES = 64, 256
MAX_BIASES = 300
#: The fields that not every engine can obey.
OPTIONAL = (
    "choices",
    "regex",
    "json_schema",
    "negative_prompt",
    "logit_bias",
    "logprobs",
    "top_logprobs",
)
#: What the authors of a model may have set for it.
SUITED = ("max_new_tokens", "temperature", "top_p", "top_k", "min_p", "repetition_penalty")
#: The longest reply of one that thinks, unless somebody has set another.
THINKING_TOKENS = 4096
#: What reads the fields that tie a reply down, or says why it cannot.
READ: dict[str, Callable[[Any], object]] = {
    "choices": one_of,
    "regex": plain,
    "json_schema": fitting,
}


def whole(value: Any) -> Any:
    """Take 256.0 for 256: JSON from a slider does not tell the two apart."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _drawn(seed: Any) -> Any:
    """Take -1 for no seed, since a control for numbers always sends one."""
    return None if seed == -1 else seed


def _of_32_bits(seed: int | None) -> int | None:
    """Fold a seed of any size into those that every generator takes."""
    return None if seed is None else seed % 2**32


def _all(top_k: Any) -> Any:
    """Take -1 for all, as vLLM and llama.cpp do."""
    return 0 if top_k == -1 else top_k


def _lines(value: Any) -> Any:
    """Take a text for its lines, as a page sends them, and a list as an API does."""
    if isinstance(value, str):
        return tuple(line for line in value.split("\n") if line)
    return tuple(value) if isinstance(value, list) else value


def _some(strings: Any) -> Any:
    """Leave out strings of nothing, at which no reply could stop."""
    return [one for one in strings if one != ""] if isinstance(strings, list) else strings


def _at_most(most: int) -> AfterValidator:
    def few(lines: tuple[str, ...]) -> tuple[str, ...]:
        if len(lines) > most or any(not line or len(line) > 200 for line in lines):
            raise ValueError(f"at most {most} lines of 1 to 200 characters")
        return lines

    return AfterValidator(few)


def _biases(value: Any) -> Any:
    """Take token ids as JSON has them, which are texts, and leave out what changes nothing."""
    if (
        not isinstance(value, dict)
        or len(value) > MAX_BIASES
        or not all(re.fullmatch("[0-9]{1,10}", str(id)) for id in value)
        or any(
            isinstance(bias, bool) or not isinstance(bias, int | float) for bias in value.values()
        )
        or not all(-100 <= bias <= 100 for bias in value.values())
    ):
        raise PydanticCustomError(
            "unfit",
            "must give at most {most} token ids a number from -100 to 100 each",
            {"most": MAX_BIASES},
        )
    return {int(id): float(bias) for id, bias in value.items() if bias}


Whole = Annotated[int, BeforeValidator(whole)]
#: Only the first that is at fault is named, and to describe thousands takes seconds.
Lines = Annotated[tuple[str, ...], FailFast(), NoDecode, BeforeValidator(_lines)]


class SamplingFields(BaseModel):
    """How the next token is chosen, and how many may be: what a request and the host may set.

    Each field is named and means what it does in transformers' GenerationConfig,
    except that temperature 0 chooses the likeliest token (greedy decoding).
    """

    max_new_tokens: Whole = Field(
        512,
        ge=1,
        title="Max new tokens",
        description="The longest reply, in tokens.",
    )
    temperature: float = Field(
        0.6,
        ge=0,
        le=2,
        title="Temperature",
        description="0 always takes the likeliest token; higher is freer.",
    )
    top_p: float = Field(
        0.9,
        ge=0,
        le=1,
        title="Top-p",
        description="Choose among the likeliest tokens that make up this share.",
    )
    top_k: Annotated[Whole, BeforeValidator(_all)] = Field(
        50,
        ge=0,
        le=1000,
        title="Top-k",
        description="Choose among this many of the likeliest tokens; 0 is all.",
    )
    min_p: float = Field(
        0.0,
        ge=0,
        le=0.99,
        title="Min-p",
        description="Leave out what is less than this share as likely as the likeliest token.",
    )
    repetition_penalty: float = Field(
        1.05,
        ge=0.01,
        le=2,
        title="Repetition penalty",
        description="Above 1, words that are there already become less likely.",
    )
    presence_penalty: float = Field(
        0.0,
        ge=-2,
        le=2,
        title="Presence penalty",
        description="Taken from the score of each token that the reply has already.",
    )
    frequency_penalty: float = Field(
        0.0,
        ge=-2,
        le=2,
        title="Frequency penalty",
        description="Taken from the score of a token for each time that the reply has it.",
    )
    seed: Annotated[Whole | None, BeforeValidator(_drawn), AfterValidator(_of_32_bits)] = Field(
        None,
        title="Seed",
        description="The same seed gives the same reply; with -1 each is drawn anew.",
    )

    thinking: Literal["auto", "on", "off"] = Field(
        "auto",
        title="Thinking",
        description="Whether the model thinks before it replies: auto is as it does by itself.",
    )
    thinking_budget: Whole = Field(
        0,
        ge=0,
        title="Thinking budget",
        description="After so many tokens of thought the reply begins; 0 is no limit.",
    )
    min_new_tokens: Whole = Field(
        0,
        ge=0,
        title="Min new tokens",
        description="The shortest reply, in tokens: it does not end before.",
    )
    stop: Annotated[Lines, BeforeValidator(_some), _at_most(MAX_LINES)] = Field(
        (),
        title="Stop strings",
        description="The reply ends before the first of these, one a line.",
    )
    choices: Annotated[Lines, _at_most(MAX_CHOICES)] = Field(
        (),
        title="Choices",
        description="The reply is one of these, one a line.",
    )
    regex: str = Field(
        "",
        max_length=2_000,
        title="Regular expression",
        description="The whole reply matches this; \\w and the like are of ASCII.",
    )
    json_schema: str = Field(
        "",
        max_length=LONGEST_SCHEMA,
        title="JSON schema",
        description="The reply is JSON of this schema.",
    )
    negative_prompt: str = Field(
        "",
        max_length=2_000,
        title="Negative prompt",
        description="A system prompt to keep away from, at twice the cost.",
    )
    guidance_scale: float = Field(
        1.5,
        ge=1,
        le=10,
        title="Guidance scale",
        description="How far away from the negative prompt; 1 is not at all.",
    )


class Sampling(SamplingFields):
    """The values for one reply, all of them checked."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    adapter: str = Field(
        "",
        max_length=64,
        title="Adapter",
        description="By which adapter the model is changed.",
    )
    num_beams: Whole = Field(
        1,
        ge=1,
        title="Beams",
        description="Only 1: beam search chooses among whole replies, so it cannot stream.",
    )
    logit_bias: Annotated[dict[int, float], BeforeValidator(_biases)] = Field(
        {},
        title="Logit bias",
        description="What is added to the scores of tokens, by their ids: -100 all but forbids "
        "one, 100 all but forces it.",
    )
    logprobs: bool = Field(
        False,
        title="Logprobs",
        description="Whether each token comes with its log probability.",
    )
    top_logprobs: Whole = Field(
        0,
        ge=0,
        le=20,
        title="Top logprobs",
        description="With how many of the likeliest tokens in its place it comes, too.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Sampling":
        if self.num_beams > 1:
            raise ValueError(
                "Beam search (Beams above 1) is not offered: it chooses among whole replies at "
                "the end, so that nothing could be shown while it is written."
            )
        if self.min_new_tokens > self.max_new_tokens:
            raise ValueError("Min new tokens must be at most Max new tokens.")
        if self.top_logprobs and not self.logprobs:
            raise ValueError("Top logprobs come with Logprobs alone.")
        if sum(map(bool, (self.choices, self.regex, self.json_schema))) > 1:
            raise ValueError("Of Choices, Regular expression and JSON schema only one can be set.")
        return self

    @field_validator("choices", "regex", "json_schema")
    @classmethod
    def _readable(cls, value: Any, info: ValidationInfo) -> Any:
        try:
            if value:
                READ[str(info.field_name)](value)
        except ValueError as error:
            raise PydanticCustomError("unfit", "{problem}", {"problem": str(error)}) from None
        return value

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken.

        So it is next to 0 too, where dividing by the temperature would overflow, and where
        no share of the likeliest is more than the first of them.
        """
        return self.temperature < 0.01 or self.top_p == 0

    @property
    def tied(self) -> bool:
        """Whether the reply has to fit something."""
        return bool(self.choices or self.regex or self.json_schema)

    @property
    def pattern(self) -> str:
        """What the reply has to match by `choices` or `regex`, or nothing."""
        return one_of(self.choices) if self.choices else self.regex and plain(self.regex)

    @property
    def schema_to_fit(self) -> str:
        """The JSON schema that the reply has to fit, or nothing."""
        return self.json_schema and fitting(self.json_schema).schema

    @property
    def grammar_to_fit(self) -> str:
        """The same as EBNF, for xgrammar, or nothing."""
        return self.json_schema and fitting(self.json_schema).grammar

    def at_most(self, tokens: int) -> "Sampling":
        """Return the same for a reply of no more tokens than this."""
        if self.max_new_tokens <= tokens:
            return self
        shortest = min(self.min_new_tokens, tokens)
        return self.model_copy(update={"max_new_tokens": tokens, "min_new_tokens": shortest})

    def free(self) -> "Sampling":
        """Return the same for a thought, which has to fit nothing, nor have a length."""
        if not self.tied:
            return self
        loose = {"choices": (), "regex": "", "json_schema": "", "min_new_tokens": 0}
        return self.model_copy(update=loose)

    def less(self, tokens: int) -> "Sampling":
        """Return the same for what follows so many tokens of the reply, which may be nothing."""
        left, shortest = self.max_new_tokens - tokens, self.min_new_tokens - tokens
        update = {"max_new_tokens": max(0, left), "min_new_tokens": max(0, shortest)}
        return self.model_copy(update=update)

    def numbered(self, number: int) -> "Sampling":
        """Return the same for the reply of this number, from 0, of several to one request."""
        seed = None if self.seed is None else _of_32_bits(self.seed + number)
        return self.model_copy(update={"seed": seed})

    def needs(self) -> list[str]:
        """Return which of `OPTIONAL` are set here."""
        return [name for name in OPTIONAL if getattr(self, name)]

    @classmethod
    def checked(cls, **values: Any) -> "Sampling":
        """Build one from values of any origin.

        Raises:
            BadRequest: a value is not of its kind or out of range.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            where = error.errors(include_url=False, include_input=False)[0]["loc"]
            field = str(where[0]) if where else ""
            raise BadRequest(explain(error, cls._title), field) from None

    @classmethod
    def _title(cls, name: str) -> str:
        field = cls.model_fields.get(name)
        return (field and field.title) or name


def suited(generation: Mapping[str, Any], *, thinks: bool) -> dict[str, Any]:
    """Return the controls that suit a model: as its authors have set them, where they have.

    `generation` is what transformers' GenerationConfig holds. One that thinks needs more tokens.
    """
    found: dict[str, Any] = {"max_new_tokens": THINKING_TOKENS} if thinks else {}
    for name in SUITED:
        with suppress(KeyError, ValidationError):
            found[name] = getattr(Sampling(**{name: generation[name]}), name)
    return found


def bounds(name: str) -> tuple[float, float]:
    """Return the lowest and the highest value of a field that has both."""
    limits = SamplingFields.model_fields[name].metadata
    lowest = next(limit.ge for limit in limits if hasattr(limit, "ge"))
    return lowest, next(limit.le for limit in limits if hasattr(limit, "le"))
