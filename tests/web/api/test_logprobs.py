"""Log probabilities in OpenAI's shapes, whole and streamed, each token's exactly once."""

from typing import Any

import pytest

from prompts.formats.plain import Plain
from tests.support.fakes import ScriptedEngine
from tests.support.programs import Programs, error, events


def scoring(reply: str = "héy", pace: float = 0.0) -> ScriptedEngine:
    engine = ScriptedEngine(lambda prompt: reply, pace=pace)
    engine.supports = frozenset({"logprobs", "top_logprobs"})
    return engine


def letter(text: str, logprob: float = -0.25) -> dict[str, Any]:
    return {"token": text, "bytes": [*text.encode()], "logprob": logprob}


async def test_each_token_of_a_message_has_its_own_and_the_likeliest() -> None:
    whole = (await Programs(scoring()).chats(logprobs=True, top_logprobs=2)).json()
    assert whole["choices"][0]["logprobs"] == {
        "refusal": None,
        "content": [
            {**letter("h"), "top_logprobs": [letter("h"), letter("i", -1.25)]},
            {**letter("é"), "top_logprobs": [letter("é"), letter("ê", -1.25)]},
            {**letter("y"), "top_logprobs": [letter("y"), letter("z", -1.25)]},
        ],
    }


@pytest.mark.parametrize("fields", [{}, {"logprobs": None}, {"logprobs": False}])
async def test_without_being_asked_for_there_are_none(fields: dict[str, Any]) -> None:
    programs = Programs(scoring())
    assert (await programs.chats(**fields)).json()["choices"][0]["logprobs"] is None
    *chunks, _ = events(await programs.chats(stream=True, **fields))
    assert {str(chunk["choices"][0]["logprobs"]) for chunk in chunks} == {"None"}


async def test_a_stream_brings_those_of_each_token_with_its_text() -> None:
    programs = Programs(scoring("some words in a row", pace=0.01))
    *chunks, _ = events(await programs.chats(stream=True, logprobs=True, stop=["row"]))
    said, tokens = "", ""
    for chunk in chunks:
        [choice] = chunk["choices"]
        said += choice["delta"].get("content", "")
        for one in (choice["logprobs"] or {"content": []})["content"]:
            tokens += one["token"]
            assert one["top_logprobs"] == []
    assert said.rstrip() == tokens.rstrip() == "some words in a"
    assert len([chunk for chunk in chunks if chunk["choices"][0]["logprobs"]]) > 2


async def test_a_completion_has_them_in_lists() -> None:
    programs = Programs(scoring(), format=Plain())
    whole = (await programs.completes(logprobs=1)).json()
    assert whole["choices"][0]["logprobs"] == {
        "tokens": ["h", "é", "y"],
        "token_logprobs": [-0.25] * 3,
        "top_logprobs": [{"h": -0.25}, {"é": -0.25}, {"y": -0.25}],
        "text_offset": [0, 1, 2],
    }
    *chunks, _ = events(await programs.completes(logprobs=0, stream=True))
    scores = [chunk["choices"][0]["logprobs"] for chunk in chunks]
    found = [one for one in scores if one]
    assert [text for one in found for text in one["tokens"]] == ["h", "é", "y"]
    assert [place for one in found for place in one["text_offset"]] == [0, 1, 2]
    assert found[0]["top_logprobs"][0] == {}


async def test_what_was_sent_has_none_so_it_is_not_to_be_repeated() -> None:
    refused = error(await Programs(scoring()).completes(logprobs=1, echo=True), 400)
    assert refused["param"] == "logprobs"
    assert refused["message"] == "logprobs are of what is written; send no echo."


async def test_an_engine_that_gives_only_the_tokens_own_says_so() -> None:
    engine = scoring()
    engine.supports = frozenset({"logprobs"})
    programs = Programs(engine)
    [choice] = (await programs.chats(logprobs=True)).json()["choices"]
    assert [one["token"] for one in choice["logprobs"]["content"]] == ["h", "é", "y"]
    refused = error(await programs.chats(logprobs=True, top_logprobs=1), 400)
    assert refused["param"] == "top_logprobs"
