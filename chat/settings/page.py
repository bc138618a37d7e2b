"""What the page says of itself."""

from typing import Literal

from pydantic import BaseModel, Field, field_validator

from chat.settings.paths import File

#: Colours of Gradio's, each from light to dark.
Accent = Literal[
    "red",
    "orange",
    "amber",
    "yellow",
    "lime",
    "green",
    "emerald",
    "teal",
    "cyan",
    "sky",
    "blue",
    "indigo",
    "violet",
    "purple",
    "fuchsia",
    "pink",
    "rose",
    "slate",
    "gray",
    "zinc",
    "neutral",
    "stone",
]


class PageSettings(BaseModel):
    """The words on the page that are its host's."""

    title: str = Field(
        "Fourbit Chat",
        min_length=1,
        max_length=60,
        description="what the page is called, there and in the browser's tab",
    )
    welcome: str = Field(
        "**Say something.** Shift + Enter starts a new line.",
        max_length=2000,
        description="what stands where no conversation is yet, in Markdown",
    )
    examples: File | None = Field(
        None,
        description="a file with messages to begin with, one a line, in place of those in "
        "prompts/examples",
    )
    titles: bool = Field(
        True,
        description="have the model give each conversation a title after its first reply, when "
        "nobody waits for anything; else it is called by its first words",
    )
    feedback: File | None = Field(
        None,
        description="a file to which ratings are added, which visitors can give replies then, with "
        "the conversations that they are of; the page tells them so",
    )
    touch_enter: Literal["newline", "send"] = Field(
        "newline", description="what Enter does on a touch screen's keyboard; elsewhere it sends"
    )
    accent: Accent = Field(
        "orange", description="the colour of what stands out, such as red, teal, blue or violet"
    )

    @field_validator("title")
    @classmethod
    def _line(cls, title: str) -> str:
        line = " ".join(title.split())
        if not line or not line.isprintable():
            raise ValueError("write a line of text")
        return line
