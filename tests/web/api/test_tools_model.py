"""A small model calls tools as it has to, whatever it was trained for, on both engines."""

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from chat.core.chat import Chat
from chat.load import load
from chat.settings import Settings
from tests.support import tools
from tests.support.programs import Programs

NODE = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["leaf", "größe", "枝"]},
        "next": {"anyOf": [{"$ref": "#/$defs/End"}, {"type": "null"}]},
    },
    "required": ["kind", "next"],
}
TREE = {
    "type": "object",
    "properties": {"root": {"$ref": "#/$defs/Node"}, "age": {"type": "integer", "maximum": 99}},
    "required": ["root", "age"],
    "$defs": {"Node": NODE, "End": {"enum": ["a", "b"]}},
}
FORECAST = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 12},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
        "unit": {"enum": ["C", "F"]},
    },
    "required": ["city", "days", "unit"],
}
SCHEMAS = {"forecast": FORECAST, "plant": TREE}
OFFERED = [
    {"type": "function", "function": {"name": name, "parameters": schema}}
    for name, schema in SCHEMAS.items()
]
#: One way of each kind: an object after a mark, and a name before the object.
TEMPLATES = {
    "hermes": tools.HERMES,
    "named": tools.HERMES.replace(
        """{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}""",
        """{{- '[TOOL_CALLS]' + call.function.name + '[ARGS]' }}""",
    ).replace("""{{- '}\\n</tool_call>' }}""", ""),
}


@pytest.fixture(params=["openvino hermes", "openvino named", "transformers hermes"])
def chat(request: pytest.FixtureRequest, tmp_path: Path, embedded_model: Path) -> Iterator[Chat]:
    engine, _, template = request.param.partition(" ")
    file = tmp_path / "tools.jinja"
    file.write_text(TEMPLATES[template])
    chat = load(Settings(engine=engine, chat_template=str(file)))
    yield chat
    chat.engine.close()


async def test_a_call_that_has_to_be_made_parses_and_fits(chat: Chat) -> None:
    programs = Programs(chat.engine, chat=chat)
    named = {"type": "function", "function": {"name": "plant"}}
    called = []
    for seed, choice in enumerate(["required", "required", named]):
        answer = await programs.chats(
            messages=[{"role": "user", "content": "What is the weather in Paris?"}],
            tools=OFFERED,
            tool_choice=choice,
            temperature=1.0,
            seed=seed,
            max_tokens=120,
        )
        [choice] = answer.json()["choices"]
        assert choice["finish_reason"] == "tool_calls"
        [call] = choice["message"]["tool_calls"]
        name = call["function"]["name"]
        jsonschema.validate(json.loads(call["function"]["arguments"]), SCHEMAS[name])
        called.append(name)
    assert called[-1] == "plant"
