"""How a reply was made: what is known of it afterwards, in numbers and without its text."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

#: Why it ended: by itself, at its length, since somebody stopped it, by a fault.
Ending = Literal["stop", "length", "stopped", "error"]
#: Characters of a name or a value, of which some are whole schemas.
LONGEST = 200

#: Larger numbers there are not, and JSON of some programs cannot hold them.
Whole = Annotated[int, Field(ge=0, le=10**12)]
Seconds = Annotated[float, Field(ge=0, le=1e9)]
Text = Annotated[str, Field(max_length=LONGEST)]
Value = Text | Annotated[float, Field(ge=-1e12, le=1e12)] | bool


class Made(BaseModel, strict=True, allow_inf_nan=False):
    """How one reply was made."""

    model: Text
    ended: Ending
    prompt_tokens: Whole
    #: How many of them were in the prefix cache, where the engine says so.
    cached_tokens: Whole | None = None
    #: How many of the oldest turns did not fit the window.
    dropped_turns: Whole
    #: Without the one that ends it; `thought_tokens` of them are thought.
    tokens: Whole
    thought_tokens: Whole
    #: Seconds from when it was asked for until its first token, and from that to its last.
    first_token: Seconds
    seconds: Seconds
    #: Tokens that a prompt and its reply may have together.
    window: Whole
    #: The controls by their names.
    controls: dict[Text, Value] = Field(max_length=64)
