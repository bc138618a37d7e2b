"""chat.web.api.anthropic: anything that can be sent."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.examples import some
from tests.support.fakes import ScriptedEngine
from tests.support.programs import HI, Programs
from tests.web.api.anthropic.support import events, fault, put_together
from tests.web.api.test_anything import ANYTHING, NUMBERS, STRINGS

TYPES = st.sampled_from(["text", "tool_use", "tool_result", "thinking", "image"])
BLOCKS = st.fixed_dictionaries(
    {"type": TYPES | ANYTHING},
    optional={
        "text": st.text(max_size=5) | ANYTHING,
        "name": st.text(max_size=5) | ANYTHING,
        "input": ANYTHING,
        "content": ANYTHING,
        "tool_use_id": ANYTHING,
    },
)
ROLES = st.sampled_from(["user", "assistant", "system"])
SPOKEN = st.fixed_dictionaries(
    {"role": ROLES | ANYTHING, "content": st.text(max_size=5) | st.lists(BLOCKS, max_size=3)}
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "messages": st.lists(SPOKEN, max_size=3),
    "system": st.lists(BLOCKS, max_size=2),
    "stream": st.booleans(),
    "stop_sequences": STRINGS,
    "max_tokens": st.integers(-1, 5000),
    **dict.fromkeys(("temperature", "top_p", "top_k"), NUMBERS),
    **dict.fromkeys(("tools", "tool_choice", "output_config", "thread", "\ud800"), ANYTHING),
}


@pytest.mark.slow
@settings(max_examples=some(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.sampled_from(list(FIELDS)), max_size=2, unique=True).flatmap(
        lambda odd: st.fixed_dictionaries({name: FIELDS[name] | ANYTHING for name in odd})
    )
)
async def test_whatever_is_sent_gets_a_message_or_a_refusal_in_anthropics_shape(odd: Any) -> None:
    programs = Programs(ScriptedEngine(lambda prompt: "ok"))
    body = {"messages": HI, **odd}
    answer = await programs.post("/messages", body)
    if answer.status_code == 400 and "details" not in answer.json()["error"]:
        fault(answer, 400)
    elif answer.status_code == 200:
        message = put_together(events(answer)) if body.get("stream") else answer.json()
        assert message["stop_reason"] in ("end_turn", "max_tokens", "stop_sequence")
    counted = await programs.post("/messages/count_tokens", body)
    assert counted.status_code in (200, 400)
    assert answer.status_code in (200, 400)
    assert programs.chat.gate.size == 0
