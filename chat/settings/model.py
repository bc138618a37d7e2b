"""Which model answers, and how it is prompted."""

from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from chat.engines.registry import ENGINES
from prompts import FORMATS

if TYPE_CHECKING:
    EngineName = str
else:
    EngineName = Literal[("auto", *ENGINES)]


def _told(*, automatic: bool) -> str:
    """Return what `--help` says of the engines that `auto` takes, or of the others."""
    entries = [
        (name, entry) for name, entry in ENGINES.items() if bool(entry.hardware) == automatic
    ]
    return " or ".join(f"{name} ({entry.description})" for name, entry in entries)


class ModelSettings(BaseModel):
    """Which model answers, and what runs it."""

    model: str = Field(
        "auto",
        min_length=1,
        description="the model: embedded, a hub id, a local folder, a local .gguf file, or "
        "hub-id:file.gguf; auto takes NousResearch/Llama-2-7b-chat-hf where there is a CUDA GPU "
        "and the embedded model elsewhere",
    )
    engine: EngineName = Field(
        "auto",
        description=f"what runs the model; auto takes {_told(automatic=True)}; if asked for, "
        f"{_told(automatic=False)} does",
    )
    check: str | None = Field(
        None,
        min_length=1,
        description="say whether and how this model would run here, instead of running one; "
        "nothing is loaded, and of a model on the hub only small files are downloaded",
    )


class PromptSettings(BaseModel):
    """How it is prompted."""

    prompt_format: str = Field(
        "auto",
        description="how the model is prompted; auto chooses from the model; or one of "
        + ", ".join(FORMATS),
    )
    chat_template: str = Field(
        "",
        description="the chat template to prompt the model with: the name of one of its own, or a "
        "file of Jinja; unless set, its default one",
    )
    echo: bool = Field(
        False, description="with a base model (plain), begin a reply with the text it continues"
    )
    system_prompt: str = Field(
        "You are a helpful assistant.",
        max_length=10_000,
        description="the system prompt of each new conversation, in the page, in the terminal and "
        "for programs that send none",
    )

    @field_validator("prompt_format")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ("auto", *FORMATS):
            raise ValueError(f"there are auto, {', '.join(FORMATS)}")
        return name

    @model_validator(mode="after")
    def _by_template(self) -> Self:
        if self.chat_template and self.prompt_format == "auto":
            self.prompt_format = "template"
        if self.chat_template and self.prompt_format != "template":
            raise ValueError(
                f"--chat-template cannot be used with --prompt-format {self.prompt_format}, which "
                "does not use the chat template."
            )
        return self
