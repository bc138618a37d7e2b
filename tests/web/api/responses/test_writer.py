"""chat.web.api.responses.writer: responses in OpenAI's shape, whole and as they grow."""

from typing import Any

import pytest

from chat.core.chat import Update
from chat.errors import EngineError
from chat.web.api.responses.shapes import ResponseBody
from chat.web.api.responses.stored import Keeper
from chat.web.api.responses.writer import ResponseReply
from prompts import Call
from tests.support.fakes import ScriptedEngine
from tests.support.programs import Programs
from tests.support.responses import EVENT, responds, streams
from tests.support.thinking import by_letters, thinker

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


THOUGHT = ["response.output_item.added", "response.content_part.added"]
THOUGHT_DONE = [
    "response.reasoning_text.done",
    "response.content_part.done",
    "response.output_item.done",
]


async def test_a_thought_is_an_item_before_the_message() -> None:
    programs = by_letters(lambda prompt: "<think>\nWho is it?\n</think>\n\nHello!")
    response = await responds(programs, reasoning={"effort": "low"})
    thought, message = response["output"]
    assert thought.pop("id").startswith("rs_")
    assert thought == {
        "type": "reasoning",
        "status": "completed",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "Who is it?"}],
    }
    assert message["content"][0]["text"] == "Hello!"
    tokens = response["usage"]["output_tokens_details"]["reasoning_tokens"]
    assert tokens == len("\nWho is it?\n")
    assert response["reasoning"] == {"effort": "low", "summary": None}


async def test_a_thought_is_streamed_as_it_grows() -> None:
    programs = by_letters(lambda prompt: "", partly="<think>\nHm.\n</think>\n\nHello")
    found = await streams(programs)
    said, thought = "response.output_text.delta", "response.reasoning_text.delta"
    names = [*BEGIN, *THOUGHT, *[thought] * 3, *THOUGHT_DONE, *TEXT, *[said] * 5, *TEXT_DONE]
    assert [one["type"] for one in found] == [*names, "response.completed"]
    assert [one["delta"] for one in found if one["type"] == thought] == ["H", "m", "."]
    [done] = [one for one in found if one["type"] == "response.reasoning_text.done"]
    added = next(one for one in found if one["type"] == "response.output_item.added")
    assert (added["item"]["content"], added["item"]["status"]) == ([], "in_progress")
    assert (done["text"], done["item_id"]) == ("Hm.", added["item"]["id"])
    whole = found[-1]["response"]
    assert [item["type"] for item in whole["output"]] == ["reasoning", "message"]
    assert whole["output"][0]["content"][0]["text"] == "Hm."


async def test_each_of_several_thoughts_is_an_item() -> None:
    reply = "<think>\nOne.\n</think>\n\nHi, <think>two</think>you"
    programs = by_letters(lambda prompt: "", partly=reply)
    output = (await streams(programs))[-1]["response"]["output"]
    assert [(item["type"], item["content"][0]["text"]) for item in output] == [
        ("reasoning", "One."),
        ("message", "Hi,"),
        ("reasoning", "two"),
        ("message", " you"),
    ]


async def test_a_response_that_is_cut_in_mid_thought_has_a_message_too() -> None:
    programs = by_letters(lambda prompt: "<think>\nWho is it?\n</think>\n\nHello!")
    found = (await streams(programs, max_output_tokens=12))[-1]
    assert found["type"] == "response.incomplete"
    for response in (found["response"], await responds(programs, max_output_tokens=12)):
        assert response["status"] == "incomplete"
        thought, message = response["output"]
        assert (thought["status"], thought["content"][0]["text"]) == ("completed", "Who")
        assert (message["status"], message["content"][0]["text"]) == ("incomplete", "")


async def test_a_response_that_is_kept_keeps_the_thought() -> None:
    programs = thinker(lambda prompt: "<think>\nWho is it?\n</think>\n\nHello!")
    for ask in (responds, streams):
        found: Any = await ask(programs)
        first = found if isinstance(found, dict) else found[-1]["response"]
        fields = {"input": "And?", "previous_response_id": first["id"]}
        second = await responds(programs, **fields)
        items = (await programs.client.get(f"/responses/{second['id']}/input_items")).json()
        kinds = [(item["type"], item["content"][0]["text"]) for item in items["data"][::-1]]
        assert kinds == [
            ("message", "hi"),
            ("reasoning", "Who is it?"),
            ("message", "Hello!"),
            ("message", "And?"),
        ]


async def test_a_thought_that_is_sent_back_belongs_to_what_comes_next() -> None:
    call = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
    programs = thinker(lambda prompt: f"<think>\nWho is it?\n</think>\n\n{call}")
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    first = await responds(programs, tools=[tool])
    assert [item["type"] for item in first["output"]] == ["reasoning", "function_call"]
    call_id = first["output"][1]["call_id"]
    result = {"type": "function_call_output", "call_id": call_id, "output": "Ann"}
    said = [{"role": "user", "content": "hi"}, *first["output"], result]
    await responds(programs, tools=[tool], input=said)
    fields = {"input": [result], "previous_response_id": first["id"]}
    await responds(programs, tools=[tool], **fields)
    for prompt in programs.engine.prompts[1:]:
        assert f"<think>\nWho is it?\n</think>\n\n{call}<|im_end|>" in prompt


async def test_a_thought_that_was_begun_goes_on() -> None:
    programs = thinker(lambda prompt: " is it?\n</think>\n\nHello!")
    part = {"type": "reasoning_text", "text": "Who"}
    begun = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [part]}
    said = [{"role": "user", "content": "hi"}, begun]
    first = await responds(programs, input=said)
    assert programs.engine.prompts[0].endswith("assistant\n<think>\nWho")
    thought, message = first["output"]
    assert thought["content"][0]["text"] == " is it?"
    assert message["content"][0]["text"] == "Hello!"
    second = await responds(programs, input="And?", previous_response_id=first["id"])
    items = (await programs.client.get(f"/responses/{second['id']}/input_items")).json()
    assert [one["content"][0]["text"] for one in items["data"]] == [
        "And?",
        "Hello!",
        "Who is it?",
        "hi",
    ]


async def test_what_lay_in_the_cache_is_told() -> None:
    programs = Programs(ScriptedEngine(cached=3))
    for cached in (0, 3):
        response = await responds(programs)
        assert response["usage"]["input_tokens_details"]["cached_tokens"] == cached
