"""Whether a model is to think before it replies, and how much, in each way that clients say it.

    thinking, thinking_budget               the controls of the page
    thinking: {"type", "budget_tokens"}     Anthropic, DeepSeek, Z.ai, Moonshot
    reasoning: {"effort", "max_tokens"}     OpenAI's Responses, OpenRouter
    reasoning_effort                        OpenAI, Groq, xAI
    chat_template_kwargs                    vLLM, SGLang, llama.cpp's server
    enable_thinking, think                  Alibaba's Qwen, Ollama

Source: their references.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from chat.core.sampling import whole
from chat.web.api import fields
from chat.web.api.shape import Shape, unfit
from prompts.formats.template import SWITCHES
from prompts.marks import Thinking

#: Controls that a model which does not think has no use for.
CONTROLS = ("thinking", "thinking_budget")
#: What a chat template is told besides (see `Template.asking`).
EFFORT = "reasoning_effort"
TYPES = {"enabled": "on", "disabled": "off"} | dict.fromkeys(
    ("auto", "adaptive", "between_tools"), "auto"
)
EITHER = {"type": ["boolean", "null"]}
#: Forms of an answer in which a thought has no place of its own.
HIDING = ("hidden", "none")

#: In tokens; -1 is no limit, and 0 no thought.
Budget = Annotated[int, Field(ge=-1), BeforeValidator(whole)]
Effort = Annotated[str, Field(max_length=40)]


def _switched(thinking: Any) -> Any:
    """Take true and false for what they say."""
    if isinstance(thinking, bool):
        return {"type": "enabled" if thinking else "disabled"}
    if not isinstance(thinking, dict):
        raise unfit("must be auto, on, off, or an object")
    return thinking


def _options(options: Any) -> Any:
    """Take what is not null, of which a switch has to be one."""
    if not isinstance(options, dict):
        raise unfit("must be an object")
    for name in SWITCHES:
        if not isinstance(options.get(name), bool | None):
            raise unfit(f"must have true or false as {name}")
    return {name: value for name, value in options.items() if value is not None}


def switched(options: Mapping[str, Any]) -> Thinking | None:
    """Return what the switches among a chat template's options say, if one is there."""
    said = next((options[name] for name in SWITCHES if name in options), None)
    return None if said is None else "on" if said else "off"


#: What a chat template is given by the names that it has.
Options = Annotated[
    dict[str, Any],
    BeforeValidator(_options),
    Field(json_schema_extra={"properties": dict.fromkeys(SWITCHES, EITHER)}),
]


class ThinkingObject(Shape):
    """Whether it thinks, and for how many tokens at most."""

    known = fields.THINKING

    type: Literal["enabled", "disabled", "auto", "adaptive", "between_tools"] = "auto"
    budget_tokens: Budget | None = None
    budget: Budget | None = None
    display: Literal["summarized", "omitted", "updates"] = "summarized"


class Reasoning(Shape):
    """The same, and whether the thought is left out of the answer."""

    known = fields.REASONING

    effort: Effort = ""
    enabled: bool | None = None
    max_tokens: Budget | None = None
    exclude: bool = False


class Thinks(Shape):
    """What in a request says how the model is to think."""

    thinking: Annotated[
        ThinkingObject | None,
        BeforeValidator(_switched, json_schema_input_type=bool | ThinkingObject),
    ] = None
    thinking_token_budget: Budget | None = None
    thinking_budget_tokens: Budget | None = None
    reasoning_budget_tokens: Budget | None = None
    enable_thinking: bool | None = None
    think: bool | Effort | None = None
    reasoning: Reasoning | None = None
    reasoning_effort: Effort = ""
    include_reasoning: bool = True
    reasoning_format: str = ""
    chat_template_kwargs: Options = Field(default_factory=dict)

    @property
    def efforts(self) -> dict[str, Any]:
        """How hard the model is to think, by the fields that say so."""
        return {
            "reasoning_effort": self.reasoning_effort,
            "reasoning.effort": self.reasoning and self.reasoning.effort,
            "think": self.think if isinstance(self.think, str) else "",
            "chat_template_kwargs.reasoning_effort": self.chat_template_kwargs.get(EFFORT),
        }

    def says(self) -> Iterator[tuple[str, str, Any]]:
        """Yield what is said: of a control or of `EFFORT`, by which field, and what."""
        options, reasoning, thinking = self.chat_template_kwargs, self.reasoning, self.thinking
        if thinking:
            yield "thinking", "thinking.type", TYPES[thinking.type]
        switches = {
            "enable_thinking": self.enable_thinking,
            "think": self.think if isinstance(self.think, bool) else None,
            "reasoning.enabled": reasoning and reasoning.enabled,
            **{f"chat_template_kwargs.{name}": options.get(name) for name in SWITCHES},
        }
        for name, on in switches.items():
            if on is not None:
                yield "thinking", name, "on" if on else "off"
        for name, effort in self.efforts.items():
            if effort:
                yield EFFORT, name, effort
            if effort == "none":
                yield "thinking", name, "off"
        budgets: dict[str, int | None] = {
            "thinking.budget_tokens": thinking.budget_tokens if thinking else None,
            "thinking.budget": thinking.budget if thinking else None,
            "thinking_token_budget": self.thinking_token_budget,
            "thinking_budget_tokens": self.thinking_budget_tokens,
            "reasoning_budget_tokens": self.reasoning_budget_tokens,
            "reasoning.max_tokens": reasoning.max_tokens if reasoning else None,
        }
        for name, budget in budgets.items():
            if budget == 0:
                yield "thinking", name, "off"
            elif budget is not None:
                yield "thinking_budget", name, 0 if budget < 0 else budget

    def shows_thought(self, controls: Mapping[str, Any]) -> bool:
        """Whether a thought is a part of the answer; `controls` are those that are asked for."""
        return not (
            (self.reasoning and self.reasoning.exclude)
            or not self.include_reasoning
            or self.reasoning_format in HIDING
            or (self.thinking and self.thinking.display == "omitted")
        )
