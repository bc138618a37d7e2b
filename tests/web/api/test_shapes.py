"""chat.web.api.shapes: the conversation in a request, as the model gets it."""

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
