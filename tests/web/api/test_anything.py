"""chat.web.api: anything that can be sent."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.examples import some
from tests.support.fakes import ScriptedEngine
from tests.support.programs import HI, Programs, error, events

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)
PARTS = st.lists(st.fixed_dictionaries({"type": st.just("text")}, optional={"text": ANYTHING}))
ROLES = st.sampled_from(["system", "developer", "user", "assistant"])
CONTENT = st.text(max_size=5) | PARTS | st.integers(0, 5000).map("x".__mul__)
SPOKEN = st.fixed_dictionaries({"role": ROLES | ANYTHING, "content": CONTENT | ANYTHING})
SCHEMAS = st.fixed_dictionaries(
    {"type": st.sampled_from(["object", "string", "array"])},
    optional={"properties": ANYTHING, "required": ANYTHING, "items": ANYTHING, "enum": ANYTHING},
)
FORMATS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "json_object", "json_schema"])},
    optional={"json_schema": st.fixed_dictionaries({"schema": SCHEMAS | ANYTHING})},
)
STRINGS = st.text(max_size=3) | st.lists(st.text(max_size=3), max_size=3)
NUMBERS = st.integers(0, 2) | st.floats(0, 2)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "messages": st.lists(SPOKEN, max_size=3),
    "prompt": CONTENT,
    "stream": st.booleans(),
    "stream_options": st.just({"include_usage": True}),
    "max_tokens": st.integers(-1, 5000),
    "response_format": FORMATS,
    "stop": STRINGS,
    "choices": STRINGS,
    "regex": st.text("a(|)*[]?{1,}\\^", max_size=6),
    "echo": st.booleans(),
    **dict.fromkeys(("temperature", "top_p", "top_k", "min_p", "seed", "n"), NUMBERS),
    **dict.fromkeys(("user", "model", "logprobs", "tools", "\ud800"), ANYTHING),
}


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, Any]:
    """A request that could be answered, of which some fields are something else."""
    path, body = draw(
        st.sampled_from(
            [("/chat/completions", {"messages": HI}), ("/completions", {"prompt": "a"})]
        )
    )
    odd = draw(st.lists(st.sampled_from(list(FIELDS)), max_size=2))
    return path, {**body, **{name: draw(FIELDS[name] | ANYTHING) for name in odd}}


@pytest.mark.slow
@settings(max_examples=some(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(requests())
async def test_whatever_is_sent_gets_a_reply_or_a_refusal_in_openais_shape(
    request_: tuple[str, Any],
) -> None:
    path, body = request_
    engine = ScriptedEngine(lambda prompt: "ok")
    engine.supports = frozenset({"choices", "regex", "json_schema"})
    programs = Programs(engine)
    answer = await programs.post(path, body)
    if answer.status_code == 400:
        assert error(answer, 400)["message"].endswith(".")
    elif body.get("stream"):
        assert events(answer)[-1] == "[DONE]"
    else:
        assert answer.json()["choices"][0]["finish_reason"] in ("stop", "length")
    assert programs.chat.gate.size == 0
