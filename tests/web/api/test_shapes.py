"""chat.web.api.shapes: the conversation in a request, as the model gets it."""

from typing import Any

import pytest

from prompts import PromptFormat
from prompts.formats.plain import Plain
from tests.support.fakes import ScriptedEngine
from tests.support.programs import END, HI, Programs, events, prompted


async def test_the_conversation_reaches_the_model() -> None:
    parts = [{"type": "text", "text": "sec"}, {"type": "text", "text": "ond"}]
    prompt = await prompted(
        Programs(ScriptedEngine()),
        ("system", "Rhyme."),
        ("developer", "Be brief."),
        ("user", "first"),
        ("assistant", "yes"),
        ("user", parts),
    )
    assert prompt == (
        "system: Rhyme.\n\nBe brief.|user: first|assistant: yes|user: second|assistant: "
    )


@pytest.mark.parametrize(
    ("messages", "prompt"),
    [
        (
            [("user", "a"), ("system", "b"), ("user", "c")],
            "user: a|system: b|user: c|assistant: ",
        ),
        (
            [("system", "s"), ("user", "a"), ("assistant", "b"), ("developer", "c"), ("user", "d")],
            "system: s|user: a|assistant: b|system: c|user: d|assistant: ",
        ),
        ([("user", "a"), ("developer", "b")], "user: a|system: b|assistant: "),
        (
            [("assistant", "Welcome!"), ("user", "a")],
            "system: You are a helpful assistant.|assistant: Welcome!|user: a|assistant: ",
        ),
        (
            [("system", "s"), ("assistant", "Welcome!"), ("user", "a")],
            "system: s|assistant: Welcome!|user: a|assistant: ",
        ),
        ([("system", "Write a poem.")], "system: Write a poem.|assistant: "),
        ([("system", "s"), ("user", " ")], "system: s|assistant: "),
        (
            [("system", "s"), ("user", "a"), ("assistant", "b"), ("assistant", "c"), ("user", "d")],
            "system: s|user: a|assistant: b\n\nc|user: d|assistant: ",
        ),
        (
            [("system", "s"), ("user", "a"), ("user", "b"), ("assistant", None), ("user", "c")],
            "system: s|user: a\n\nb\n\nc|assistant: ",
        ),
    ],
)
async def test_roles_may_come_in_any_order(messages: Any, prompt: str) -> None:
    assert await prompted(Programs(ScriptedEngine(lambda prompt: "ok")), *messages) == prompt


@pytest.mark.parametrize(
    "last",
    [
        [],
        [("user", "")],
        [("user", " \n")],
        [("user", [])],
        [("user", [{"type": "text", "text": ""}])],
        [("user", ""), ("user", "")],
        [("system", "")],
    ],
)
async def test_an_empty_last_message_after_the_assistants_has_that_continued(last: Any) -> None:
    programs = Programs(ScriptedEngine(lambda prompt: " two"), system_prompt="")
    messages = [("user", "hi"), ("assistant", "one"), *last]
    assert await prompted(programs, *messages) == "user: hi|assistant: one"
    sent = [{"role": role, "content": content} for role, content in messages]
    whole = (await programs.chats(messages=sent)).json()
    assert whole["choices"][0]["message"]["content"] == " two"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "input_text", "text": "a"}], "a"),
        ([{"type": "output_text", "text": "a", "annotations": [], "logprobs": []}], "a"),
        ([{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}], "a"),
        ([{"text": "a"}, {"type": None, "text": "b"}], "ab"),
        (["a", "b"], "ab"),
        (["a", {"type": "text", "text": "b"}], "ab"),
        ([{"type": "refusal", "refusal": "No."}], "No."),
        ("a\r\nb\x00\x1bc", "a\nbc"),
    ],
)
@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer"])
async def test_a_content_may_come_in_parts(role: str, content: Any, text: str) -> None:
    programs = Programs(ScriptedEngine(lambda prompt: "ok"), system_prompt="", strict_api=True)
    prompt = await prompted(programs, ("user", "x"), (role, content), ("user", "y"))
    said = {"user": f"user: x\n\n{text}\n\ny", "assistant": f"user: x|assistant: {text}|user: y"}
    late = f"user: x|system: {text}|user: y"
    assert prompt == f"{said.get(role, late)}|assistant: "


CALL = {"id": "call_1", "type": "function", "function": {"name": "sky", "arguments": '{"at":1}'}}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "blue"}


@pytest.mark.parametrize(
    ("messages", "prompt"),
    [
        ([{**HI[0], "name": "Ann"}], "user: Ann: hi"),
        (
            [{**HI[0], "name": "Ann"}, {**HI[0], "name": "Bob"}],
            "user: Ann: hi\n\nBob: hi",
        ),
        ([{**HI[0], "name": "user"}], "user: hi"),
        (
            [{"role": "system", "content": "2+2?", "name": "example_user"}, *HI],
            "system: example_user: 2+2?|user: hi",
        ),
        (
            [*HI, {"role": "assistant", "content": "b", "name": "Bot"}, *HI],
            "user: hi|assistant: b|user: hi",
        ),
        (
            [*HI, {"role": "assistant", "content": None, "refusal": "I will not."}, *HI],
            "user: hi|assistant: I will not.|user: hi",
        ),
        (
            [*HI, {"role": "assistant", "content": None, "tool_calls": [CALL]}, RESULT],
            'user: hi|assistant: sky({"at":1})|user: sky: blue',
        ),
        (
            [*HI, {"role": "assistant", "content": "Well.", "tool_calls": [CALL]}, RESULT, *HI],
            'user: hi|assistant: Well.\n\nsky({"at":1})|user: sky: blue\n\nhi',
        ),
        (
            [
                *HI,
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{"function": {"name": "sky", "arguments": {"at": 1}}}],
                },
                {"role": "tool", "name": "sky", "content": [{"type": "text", "text": "blue"}]},
            ],
            'user: hi|assistant: sky({"at": 1})|user: sky: blue',
        ),
        (
            [
                *HI,
                {"role": "assistant", "function_call": {"name": "sky", "arguments": "{}"}},
                {"role": "function", "name": "sky", "content": "blue"},
            ],
            "user: hi|assistant: sky({})|user: sky: blue",
        ),
        ([*HI, {"role": "tool", "content": "blue"}], "user: hi\n\ntool: blue"),
        ([*HI, {"role": "tool", "content": ""}], "user: hi\n\ntool: "),
    ],
)
async def test_a_name_is_said_and_so_are_calls_and_their_results(
    messages: Any, prompt: str
) -> None:
    programs = Programs(ScriptedEngine(lambda prompt: "ok"), system_prompt="", strict_api=True)
    answer = await programs.chats(messages=messages)
    assert answer.status_code == 200, answer.text
    assert programs.engine.prompts[0].replace(END, "|") == f"{prompt}|assistant: "


async def test_without_a_system_prompt_the_hosts_holds_and_an_empty_one_is_none() -> None:
    programs = Programs(ScriptedEngine(), system_prompt="Sing.")
    assert (await prompted(programs, ("user", "hi"))).startswith("system: Sing.|user: hi")
    assert (await prompted(programs, ("system", ""), ("user", "hi"))).startswith("user: hi")


@pytest.mark.parametrize(
    ("begun", "rest", "new"),
    [
        ("one", ", two", ", two"),
        ("one ", "two", "two"),
        ("one\n", "\ntwo", "\ntwo"),
        ("\n one", " two", " two"),
        ("one", "", ""),
    ],
)
async def test_a_reply_that_the_assistant_began_is_continued(
    begun: str, rest: str, new: str
) -> None:
    programs = Programs(ScriptedEngine(lambda prompt: rest), system_prompt="")
    messages = [*HI, {"role": "assistant", "content": begun}]
    whole = (await programs.chats(messages=messages)).json()
    assert programs.engine.prompts == [f"user: hi{END}assistant: {begun}"]
    assert whole["choices"][0]["message"]["content"] == new
    assert whole["usage"]["completion_tokens"] == len(rest)
    *chunks, _ = events(await programs.chats(messages=messages, stream=True))
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == new


@pytest.mark.parametrize("format", [Plain(), Plain(echo=True)])
async def test_a_base_models_reply_that_was_begun_is_continued(format: PromptFormat) -> None:
    programs = Programs(ScriptedEngine(lambda prompt: " c"), format=format)
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": " b "}]
    whole = (await programs.chats(messages=messages)).json()
    assert programs.engine.prompts == ["a b "]
    assert whole["choices"][0]["message"]["content"] == " c"


async def test_a_base_model_is_not_instructed_by_the_host() -> None:
    programs = Programs(ScriptedEngine(lambda prompt: "!"), format=Plain())
    assert await prompted(programs, ("user", "Once")) == "Once"


async def test_a_completion_continues_the_text_itself() -> None:
    programs = Programs(ScriptedEngine(lambda prompt: " upon a time"))
    answer = (await programs.completes()).json()
    assert programs.engine.prompts == ["Once"]
    assert answer.pop("id").startswith("cmpl-")
    assert answer.pop("created") > 1_700_000_000
    choice = {"index": 0, "text": " upon a time", "logprobs": None, "finish_reason": "stop"}
    assert answer == {
        "object": "text_completion",
        "model": "model",
        "choices": [choice],
        "usage": {"prompt_tokens": 4, "completion_tokens": 12, "total_tokens": 16},
    }


@pytest.mark.parametrize(("wanted", "text"), [(False, " upon"), (True, "Once upon")])
async def test_a_completion_repeats_its_text_if_that_is_asked_for(wanted: bool, text: str) -> None:
    programs = Programs(ScriptedEngine(lambda prompt: " upon"), format=Plain(echo=True))
    whole = (await programs.completes(echo=wanted, prompt=["Once"])).json()
    assert whole["choices"][0]["text"] == text
    *chunks, _ = events(await programs.completes(echo=wanted, stream=True))
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == text
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
