"""chat.web.api.responses: anything that can be sent."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types import responses

from tests.support import tools
from tests.support.examples import some
from tests.support.programs import Programs, error
from tests.support.responses import asks, steps
from tests.support.tools import Speaker, speaking

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)
TEXT = st.text(max_size=5)
PARTS = st.lists(st.fixed_dictionaries({"type": st.just("input_text"), "text": TEXT | ANYTHING}))
ROLES = st.sampled_from(["system", "developer", "user", "assistant"])
ITEM = st.one_of(
    st.fixed_dictionaries({"role": ROLES | ANYTHING, "content": TEXT | PARTS | ANYTHING}),
    st.fixed_dictionaries(
        {"type": st.just("function_call"), "call_id": TEXT, "name": TEXT, "arguments": TEXT}
    ),
    st.fixed_dictionaries(
        {"type": st.just("function_call_output"), "call_id": TEXT, "output": TEXT | PARTS}
    ),
    st.fixed_dictionaries({"type": st.sampled_from(["reasoning", "item_reference"]) | ANYTHING}),
)
NAMED = {"type": "function", "name": "get_time"}
TOOL = st.fixed_dictionaries(
    {"type": st.just("function") | ANYTHING, "name": st.sampled_from(["get_time", "a b"])},
    optional={"parameters": ANYTHING, "description": TEXT, "strict": st.booleans()},
)
WAYS = [
    "none",
    "auto",
    "required",
    NAMED,
    {"type": "allowed_tools", "mode": "auto", "tools": [NAMED]},
]
FORMAT = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "json_object", "json_schema"]) | ANYTHING},
    optional={"name": TEXT, "schema": ANYTHING, "strict": st.booleans()},
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "input": TEXT | st.lists(ITEM, max_size=4),
    "instructions": TEXT,
    "tools": st.lists(TOOL, max_size=2),
    "tool_choice": st.sampled_from(WAYS),
    "text": st.fixed_dictionaries({"format": FORMAT}),
    "metadata": st.dictionaries(TEXT, ANYTHING, max_size=2),
    "max_output_tokens": st.integers(-1, 5000),
    "previous_response_id": TEXT,
    "truncation": st.sampled_from(["auto", "disabled"]),
    "store": st.booleans(),
    "stream": st.just(True),
    "include": st.lists(TEXT, max_size=2),
}
ODD = st.lists(st.sampled_from(list(FIELDS)), max_size=3).flatmap(
    lambda names: st.fixed_dictionaries({name: FIELDS[name] | ANYTHING for name in names})
)
CHAT = speaking(tools.hermes(), lambda prompt: '{"name": "get_time", "arguments": {}}')


@pytest.mark.slow
@settings(max_examples=some(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(ODD)
async def test_whatever_is_sent_gets_a_response_or_a_refusal(fields: dict[str, Any]) -> None:
    assert isinstance(CHAT.engine, Speaker)
    answer = await asks(Programs(CHAT.engine, chat=CHAT), **fields)
    if answer.status_code in (400, 404):
        assert error(answer, answer.status_code)["message"].endswith(".")
    elif fields.get("stream") is True:
        assert steps(answer)[-1]["type"] in ("response.completed", "response.incomplete")
    else:
        assert answer.status_code == 200
        response = answer.json()
        assert response["metadata"].keys() == (fields.get("metadata") or {}).keys()
        responses.Response.model_validate(response)
    assert CHAT.gate.size == 0
