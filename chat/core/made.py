"""How a reply was made: what is known of it afterwards, in numbers and without its text."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, NonNegativeFloat, NonNegativeInt

#: Why it ended: by itself, at its length, since somebody stopped it, by a fault.
Ending = Literal["stop", "length", "stopped", "error"]
#: Characters of a name or a value, of which some are whole schemas.
LONGEST = 200

Value = Annotated[str, Field(max_length=LONGEST)] | float | bool


class Made(BaseModel, strict=True):
    """How one reply was made."""

    model: str = Field(max_length=LONGEST)
    ended: Ending
    prompt_tokens: NonNegativeInt
    #: How many of the oldest turns did not fit the window.
    dropped_turns: NonNegativeInt
    #: Without the one that ends it; `thought_tokens` of them are thought.
    tokens: NonNegativeInt
    thought_tokens: NonNegativeInt
    #: Seconds from when it was asked for until its first token, and from that to its last.
    first_token: NonNegativeFloat
    seconds: NonNegativeFloat
    #: Tokens that a prompt and its reply may have together.
    window: NonNegativeInt
    #: The controls by their names.
    controls: dict[str, Value] = Field(max_length=64)
