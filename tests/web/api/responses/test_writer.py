"""chat.web.api.responses.writer: responses in OpenAI's shape, whole and as they grow."""

from typing import Any

import pytest

from chat.core.chat import Update
from chat.errors import EngineError
from chat.web.api.responses.kept import Keeper
from chat.web.api.responses.shapes import ResponseBody
from chat.web.api.responses.writer import ResponseReply
from prompts import Call
from tests.support.fakes import ScriptedEngine
from tests.support.programs import Programs
from tests.support.responses import EVENT, responds, streams

TEXT = ["response.output_item.added", "response.content_part.added"]
TEXT_DONE = [
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
]
BEGIN = ["response.created", "response.in_progress"]


async def test_a_response_has_openais_shape() -> None:
    asked = {"metadata": {"a": "b"}, "temperature": 0.5, "max_output_tokens": 99, "model": "any"}
    response = await responds(Programs(ScriptedEngine()), **asked, instructions="Rhyme.")
    assert response.pop("id").startswith("resp_")
    [message] = response.pop("output")
    assert message.pop("id").startswith("msg_")
    part = {"type": "output_text", "text": "You said: hi", "annotations": [], "logprobs": []}
    assert message == {
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }
    assert response.pop("completed_at") >= response.pop("created_at") > 1_700_000_000
    prompt = len("system: Rhyme.|user: hi|assistant: ")
    assert response == {
        "object": "response",
        "model": "model",
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "usage": {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 12,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt + 12,
        },
        "background": False,
        "instructions": "Rhyme.",
        "max_output_tokens": 99,
        "metadata": {"a": "b"},
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": True,
        "temperature": 0.5,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 0.9,
        "truncation": "auto",
    }


async def test_a_stream_has_a_step_for_all_that_begins_grows_and_ends() -> None:
    engine = ScriptedEngine(lambda prompt: "llo", partly="He")
    found = await streams(Programs(engine))
    delta = "response.output_text.delta"
    names = [*BEGIN, *TEXT, *[delta] * 3, *TEXT_DONE, "response.completed"]
    assert [one["type"] for one in found] == names
    assert [one["delta"] for one in found if one["type"] == delta] == ["H", "e", "llo"]
    first, last = found[0]["response"], found[-1]["response"]
    assert (first["status"], first["output"], first["usage"]) == ("in_progress", [], None)
    assert (last["status"], last["id"]) == ("completed", first["id"])
    added, part, *_ = [one for one in found if one["type"] in TEXT]
    assert (added["item"]["status"], added["item"]["content"]) == ("in_progress", [])
    assert part["part"]["text"] == ""
    [message] = last["output"]
    assert message["content"][0]["text"] == "Hello"
    assert found[-2]["item"] == message
    assert {one["item_id"] for one in found if "item_id" in one} == {message["id"]}
    whole = await responds(Programs(ScriptedEngine(lambda prompt: "Hello")))
    assert whole["usage"] == last["usage"]


async def test_a_response_that_is_cut_off_is_incomplete() -> None:
    programs = Programs(ScriptedEngine())
    whole = await responds(programs, max_output_tokens=3)
    last = (await streams(programs, max_output_tokens=3))[-1]
    assert last["type"] == "response.incomplete"
    for response in (whole, last["response"]):
        assert response["status"] == response["output"][0]["status"] == "incomplete"
        assert response["incomplete_details"] == {"reason": "max_output_tokens"}
        assert response["completed_at"] is None
        assert response["output"][0]["content"][0]["text"] == "You"


async def test_an_empty_reply_is_a_message_too() -> None:
    programs = Programs(ScriptedEngine(lambda prompt: ""))
    [message] = (await responds(programs))["output"]
    assert message["content"][0]["text"] == ""
    found = await streams(programs)
    assert [one["type"] for one in found] == [*BEGIN, *TEXT, *TEXT_DONE, "response.completed"]


async def test_an_error_on_the_way_ends_a_stream_with_what_clients_raise() -> None:
    def fail(prompt: str) -> str:
        raise EngineError("The model is tired.")

    programs = Programs(ScriptedEngine(fail, partly="Well"))
    *_, failed, raised = await streams(programs)
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    told = {"code": "server_error", "message": "The model is tired."}
    assert failed["response"]["error"] == told
    assert (raised["type"], raised["message"]) == ("error", "The model is tired.")
    assert raised["error"]["type"] == "server_error"
    found = await programs.client.get(f"/responses/{failed['response']['id']}")
    assert found.status_code == 404


def update(text: str, *calls: tuple[str, str], state: Any = "writing") -> Update:
    return Update(state, text, tuple(Call(*call) for call in calls))


@pytest.mark.parametrize(
    ("updates", "kinds"),
    [
        ([update("a"), update("ab", ("f", "")), update("ab", ("f", "{}"))], ["message", "call"]),
        ([update("", ("f", "{")), update("", ("f", "{}"), ("g", "{}"))], ["call", "call"]),
        ([update("", ("f", "{")), update("so", ("f", "{}"))], ["call", "message"]),
        (
            [update("a", ("f", "{}")), update("a b", ("f", "{}"), ("g", ""))],
            ["message", "call", "message", "call"],
        ),
        ([update("a", ("f", "{}"), ("g", "[]"))], ["message", "call", "call"]),
    ],
)
def test_items_come_one_after_another_and_are_in_the_end_what_they_grew_to(
    updates: list[Update], kinds: list[str]
) -> None:
    body = ResponseBody.model_validate({"input": "hi"})
    keeper = Keeper()
    writer = ResponseReply(body, "m", keeper)
    last = updates[-1]
    end = Update("finished", last.text, last.calls)
    written = [*writer.begin()]
    for one in (*updates, end):
        written += writer.more(0, one)
    written += writer.end([end])
    found = [EVENT.validate_json(one.split(b"data: ")[1]).to_dict() for one in written]
    grown: dict[int, Any] = {}
    open_now: list[int] = []
    for one in found:
        place = one.get("output_index")
        match one["type"]:
            case "response.output_item.added":
                assert open_now == []
                assert place == len(grown)
                open_now.append(place)
                grown[place] = ""
            case "response.output_text.delta" | "response.function_call_arguments.delta":
                assert open_now == [place]
                grown[place] += one["delta"]
            case "response.output_item.done":
                assert open_now.pop() == place
    assert open_now == []
    output = found[-1]["response"]["output"]
    assert ["call" if "arguments" in item else "message" for item in output] == kinds
    said = [
        item["arguments"] if "arguments" in item else item["content"][0]["text"] for item in output
    ]
    assert list(grown.values()) == said
    assert "".join(one for one, kind in zip(said, kinds, strict=True) if kind == "message") == (
        last.text
    )
    conversation = keeper.find(found[0]["response"]["id"], "id").conversation
    assert conversation[-1].content == last.text
    assert [call[:2] for call in conversation[-1].calls] == [call[:2] for call in last.calls]
