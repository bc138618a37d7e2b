"""The controls of one generation, checked in one place, whoever sends them.

They come from a page, but anyone can call the API, where NaN, True and "5"
arrive as they are: `generate(max_new_tokens=nan)` never ends. So each value is
checked strictly, and refused with the name that the page shows.
"""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from chat.errors import BadRequest

MAX_NEW_TOKENS = 4096


def _whole(value: Any) -> Any:
    """Take 256.0 for 256: JSON from a slider does not tell the two apart."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]


class Sampling(BaseModel):
    """How the next token is chosen, and how many may be.

    Each field is named and means what it does in transformers' GenerationConfig,
    except that temperature 0 chooses the likeliest token (greedy decoding).
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    max_new_tokens: Whole = Field(
        512,
        ge=1,
        le=MAX_NEW_TOKENS,
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
        ge=0.01,
        le=1,
        title="Top-p",
        description="Choose among the likeliest tokens that make up this share.",
    )
    top_k: Whole = Field(
        50,
        ge=0,
        le=1000,
        title="Top-k",
        description="Choose among this many of the likeliest tokens; 0 is all.",
    )
    repetition_penalty: float = Field(
        1.05,
        ge=1,
        le=2,
        title="Repetition penalty",
        description="Above 1, words that are there already become less likely.",
    )

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken.

        So it is next to 0 too, where dividing by the temperature would overflow.
        """
        return self.temperature < 0.01

    @classmethod
    def checked(cls, **values: Any) -> "Sampling":
        """Build one from values of any origin.

        Raises:
            BadRequest: a value is not of its kind or out of range.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            raise BadRequest(explain(error, cls._title)) from None

    @classmethod
    def _title(cls, name: str) -> str:
        field = cls.model_fields.get(name)
        return (field and field.title) or name


def explain(error: ValidationError, title: Callable[[str], str]) -> str:
    """Say the first fault of `error` in one sentence, without the value.

    `title` gives the name that the user knows a field by.
    """
    fault = error.errors(include_url=False, include_input=False)[0]
    limits = fault.get("ctx", {})
    match fault["type"]:
        case "greater_than_equal":
            problem = f"must be at least {limits['ge']:g}"
        case "less_than_equal":
            problem = f"must be at most {limits['le']:g}"
        case "int_type" | "int_from_float" | "int_parsing":
            problem = "must be a whole number"
        case "float_type" | "finite_number" | "float_parsing":
            problem = "must be a number"
        case "missing":
            problem = "is missing"
        case "extra_forbidden":
            problem = "is not known here"
        case _:
            problem = f"is not usable: {fault['msg'].removeprefix('Value error, ')}"
    return f"{title(str(fault['loc'][0]))} {problem}."
