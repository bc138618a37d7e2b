"""chat.web.api.responses.endpoint: going on with a response, and what is kept of it."""

import logging
from typing import Any

import pytest
from openai.types import responses

from chat.web.api.responses import stored
from tests.support.fakes import ScriptedEngine
from tests.support.programs import END, Programs, error
from tests.support.responses import asks, responds, streams

SYSTEM = "system: You are a helpful assistant.|"


@pytest.fixture
def programs() -> Programs:
    return Programs(ScriptedEngine())


def read(programs: Programs) -> str:
    """Return the prompt that was read last."""
    return programs.engine.prompts[-1].replace(END, "|")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_response_is_gone_on_with(programs: Programs, stream: bool) -> None:
    first = (await streams(programs))[-1]["response"] if stream else await responds(programs)
    second = await responds(programs, input="again", previous_response_id=first["id"])
    assert second["previous_response_id"] == first["id"]
    assert second["output"][0]["content"][0]["text"] == "You said: again"
    said = "user: hi|assistant: You said: hi|user: again|assistant: "
    assert read(programs) == SYSTEM + said
    await responds(programs, input="more", previous_response_id=second["id"])
    assert read(programs) == f"{SYSTEM}{said}You said: again|user: more|assistant: "
    await responds(programs, input="other", previous_response_id=first["id"])
    assert read(programs) == SYSTEM + said.replace("again", "other")


async def test_it_reads_the_very_prompt_that_the_whole_conversation_is(programs: Programs) -> None:
    items: list[Any] = [
        {"role": "developer", "content": "Rhyme."},
        {"role": "user", "content": "a\r\nb"},
        {"role": "user", "content": "c"},
    ]
    first = await responds(programs, input=items)
    later = [{"role": "system", "content": "Sing."}, {"role": "user", "content": "d"}]
    await responds(programs, input=later, previous_response_id=first["id"])
    prompt = read(programs)
    await responds(programs, input=[*items, *first["output"], *later])
    assert read(programs) == prompt


async def test_instructions_come_first_and_are_not_for_what_follows(programs: Programs) -> None:
    first = await responds(programs, instructions="Rhyme.")
    assert read(programs).startswith("system: Rhyme.|user: hi|")
    id = first["id"]
    await responds(programs, previous_response_id=id)
    assert read(programs).startswith(SYSTEM)
    await responds(programs, previous_response_id=id, instructions="Sing.")
    assert read(programs).startswith("system: Sing.|user: hi|assistant: You said: hi|user: hi|")
    await responds(programs, instructions="")
    assert read(programs) == "user: hi|assistant: "


async def test_a_reply_that_was_continued_is_one_in_what_follows() -> None:
    programs = Programs(ScriptedEngine(lambda prompt: "on a time"))
    begun = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Once up"}]
    first = await responds(programs, input=[*begun, {"role": "user", "content": " "}])
    assert first["output"][0]["content"][0]["text"] == "on a time"
    await responds(programs, input="more", previous_response_id=first["id"])
    assert "user: hi|assistant: Once upon a time|user: more|" in read(programs)


@pytest.mark.parametrize(("asked", "told"), [(5.0, 5), (0, None), (-1, None), (None, None)])
async def test_a_limit_is_repeated_if_it_is_one(
    programs: Programs, asked: Any, told: int | None
) -> None:
    limit = (await responds(programs, max_output_tokens=asked))["max_output_tokens"]
    assert (limit, type(limit)) == (told, type(told))


async def test_what_was_cut_off_is_kept_as_it_is(programs: Programs) -> None:
    first = await responds(programs, max_output_tokens=3)
    await responds(programs, input="go on", previous_response_id=first["id"])
    assert "|assistant: You|user: go on|" in read(programs)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_not_kept_or_not_known_cannot_be_gone_on_with(
    programs: Programs, stream: bool
) -> None:
    unkept = await responds(programs, store=False)
    for id in (unkept["id"], "resp_1"):
        answer = await asks(programs, previous_response_id=id, stream=stream)
        refused = error(answer, 404)
        assert refused["param"] == "previous_response_id"
        assert refused["code"] == "previous_response_not_found"
        assert refused["message"] == (
            "There is no such response here; it was not kept, or is forgotten."
        )
    assert len(programs.engine.prompts) == 1


async def test_an_item_may_be_told_by_its_id(programs: Programs) -> None:
    """As Vercel's AI SDK sends what was answered before."""
    first = await responds(programs)
    [said] = first["output"]
    later = [{"role": "user", "content": "again"}]
    told = {"type": "item_reference", "id": said["id"]}
    await responds(programs, input=[{"role": "user", "content": "hi"}, told, *later])
    assert read(programs) == f"{SYSTEM}user: hi|assistant: You said: hi|user: again|assistant: "
    unknown = {"type": "item_reference", "id": "msg_0"}
    refused = error(await asks(programs, input=[unknown, *later]), 404)
    assert refused["param"] == "input[0].id"
    await programs.client.delete(f"/responses/{first['id']}")
    assert error(await asks(programs, input=[told, *later]), 404)["param"] == "input[0].id"


async def test_the_same_item_is_told_once(programs: Programs) -> None:
    [said] = (await responds(programs))["output"]
    told = {"type": "item_reference", "id": said["id"]}
    again = [told, {"role": "user", "content": "again"}, told]
    refused = error(await asks(programs, input=again), 400)
    sentence = "input[2].id is that of input[0] too; send one."
    assert (refused["param"], refused["message"]) == ("input[2].id", sentence)


async def test_telling_an_item_by_its_id_keeps_its_response_alone_from_being_forgotten(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "MOST_BYTES", 3 * 10**6)
    monkeypatch.setattr(stored, "MOST", 3)
    programs = Programs(ScriptedEngine())
    one, two, three = [await responds(programs) for _ in range(3)]
    [said] = two["output"]
    told = {"type": "item_reference", "id": said["id"]}
    await responds(programs, input=[told, {"role": "user", "content": "a"}], store=False)
    await responds(programs)
    await responds(programs)
    statuses = [
        (await programs.client.get(f"/responses/{response['id']}")).status_code
        for response in (one, two, three)
    ]
    assert statuses == [404, 200, 404]


async def test_ids_are_long_and_each_is_another(programs: Programs) -> None:
    ids = {(await responds(programs))["id"] for _ in range(5)}
    assert len(ids) == 5
    assert min(len(id) for id in ids) >= 5 + 32


async def test_servers_do_not_know_each_others_responses(programs: Programs) -> None:
    id = (await responds(programs))["id"]
    other = Programs(ScriptedEngine())
    assert (await other.client.get(f"/responses/{id}")).status_code == 404


async def test_a_response_that_is_kept_is_given_again_and_forgotten(programs: Programs) -> None:
    response = await responds(programs, metadata={"a": "b"})
    address = f"/responses/{response['id']}"
    assert (await programs.client.get(address)).json() == response
    refused = error(await programs.client.get(address, params={"stream": "true"}), 400)
    assert refused["param"] == "stream"
    gone = await programs.client.delete(address)
    assert gone.json() == {"id": response["id"], "object": "response", "deleted": True}
    for method in ("GET", "DELETE"):
        refused = error(await programs.client.request(method, address), 404)
        assert (refused["param"], refused["code"]) == ("id", None)
    assert error(await asks(programs, previous_response_id=response["id"]), 404)


async def test_what_was_asked_is_listed_a_page_at_a_time(programs: Programs) -> None:
    call = {"type": "function_call", "call_id": "1", "name": "add", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "1", "output": "2"}
    first = await responds(programs, input=[{"role": "user", "content": "hi"}, call, result])
    second = await responds(programs, input="more", previous_response_id=first["id"])
    address = f"/responses/{second['id']}/input_items"

    async def page(**query: Any) -> dict[str, Any]:
        answer = (await programs.client.get(address, params=query)).json()
        responses.ResponseItemList.model_validate(answer)
        return dict(answer)

    whole = await page(order="asc")
    assert whole["has_more"] is False
    kinds = ["message", "function_call", "function_call_output", "message", "message"]
    assert [item["type"] for item in whole["data"]] == kinds
    assert [item.get("role") for item in whole["data"] if "role" in item] == [
        "user",
        "assistant",
        "user",
    ]
    assert (await page())["data"] == whole["data"][::-1]
    part = await page(order="asc", limit=2)
    assert (part["data"], part["has_more"]) == (whole["data"][:2], True)
    rest = await page(order="asc", after=part["last_id"], limit=3)
    assert (rest["data"], rest["has_more"]) == (whole["data"][2:], False)
    for name, value in (("limit", "0"), ("limit", "101"), ("order", "up"), ("after", "msg_1")):
        refused = error(await programs.client.get(address, params={name: value}), 400)
        assert refused["param"] == name
    assert error(await programs.client.get("/responses/resp_1/input_items"), 404)


async def test_a_key_is_asked_for_at_every_address() -> None:
    programs = Programs(ScriptedEngine(), api_key="secret")
    for method, path in (("POST", ""), ("GET", "/a"), ("DELETE", "/a"), ("GET", "/a/input_items")):
        assert error(await programs.client.request(method, f"/responses{path}"), 401)


async def test_with_truncation_disabled_nothing_is_left_out() -> None:
    programs = Programs(ScriptedEngine(lambda prompt: "ok"))
    long = [{"role": role, "content": role * 150} for role in ["user", "assistant"] * 3]
    asked = {"input": [*long, {"role": "user", "content": "hi"}], "max_output_tokens": 10}
    assert (await responds(programs, **asked))["truncation"] == "auto"
    answer = await asks(programs, **asked, truncation="disabled")
    refused = error(answer, 400)
    assert (refused["param"], refused["code"]) == ("input", "context_length_exceeded")
    assert len(programs.engine.prompts) == 1
    assert (await responds(programs, truncation="disabled"))["truncation"] == "disabled"


async def test_instructions_alone_are_answered_and_gone_on_from() -> None:
    programs = Programs(ScriptedEngine(lambda prompt: "ok"))
    nothing = {"input": [{"role": "user", "content": ""}], "instructions": "Write a poem."}
    first = await responds(programs, **nothing)
    assert (first["status"], first["output"][0]["content"][0]["text"]) == ("completed", "ok")
    await responds(programs, input="More", previous_response_id=first["id"])
    assert programs.engine.prompts[-1].endswith("assistant: ok\0user: More\0assistant: ")


async def test_notes_that_are_nested_too_deeply_are_refused() -> None:
    programs = Programs(ScriptedEngine(lambda prompt: "ok"))
    statuses = set()
    for depth in range(800, 1000, 5):
        note = "[" * depth + "]" * depth
        body = b'{"input": "hi", "metadata": {"a": %s}}' % note.encode()
        statuses.add((await programs.post("/responses", body)).status_code)
    assert statuses == {200, 400}


async def test_no_word_of_it_is_logged(
    programs: Programs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    first = await responds(programs, input="wallaby", instructions="numbat")
    await responds(programs, input="quokka", previous_response_id=first["id"])
    for word in ("wallaby", "numbat", "quokka", first["id"]):
        assert word not in caplog.text
