"""What the page says of itself."""

from pydantic import BaseModel, Field, field_validator


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

    @field_validator("title")
    @classmethod
    def _line(cls, title: str) -> str:
        line = " ".join(title.split())
        if not line or not line.isprintable():
            raise ValueError("write a line of text")
        return line
