"""chat.web.api.tokenize: what the model would read, and backwards."""

from typing import Any

import httpx
import pytest

from prompts.formats.plain import Plain
from tests.support.fakes import ScriptedEngine
from tests.support.programs import HI, Programs, error
from tests.support.tiny import llama2_tokenizer


def ids(text: str) -> list[int]:
    return [ord(letter) for letter in text]


async def asked(programs: Programs, path: str = "/tokenize", **body: Any) -> Any:
    answer = await programs.post(path, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_text_is_counted() -> None:
    programs = Programs(ScriptedEngine())
    assert await asked(programs, prompt="a🙂", model="any") == {
        "count": 2,
        "max_model_len": 2000,
        "tokens": [97, 0x1F642],
        "token_strs": None,
    }
    found = await asked(programs, prompt="ab", return_token_strs=True)
    assert found["token_strs"] == ["a", "b"]
    assert (await asked(programs, prompt=""))["count"] == 0
    assert (await asked(programs, prompt="x" * 9000))["count"] == 9000


async def test_a_conversation_is_what_the_model_is_prompted_with() -> None:
    programs = Programs(ScriptedEngine(), system_prompt="Sing.")
    for messages in (
        HI,
        [*HI, {"role": "assistant", "content": "We"}],
        [{**HI[0], "role": "system"}],
    ):
        found = await asked(programs, messages=messages, add_generation_prompt=True)
        await programs.chats(messages=messages)
        assert found["tokens"] == ids(programs.engine.prompts[-1])
        assert found["count"] == len(found["tokens"])
    assert "Sing." in programs.engine.prompts[0]


async def test_a_text_begins_with_what_the_tokenizer_puts_before_one() -> None:
    programs = Programs(ScriptedEngine())
    programs.chat.plain = Plain("|")
    assert (await asked(programs, prompt="a"))["tokens"] == [0, 97]
    assert (await asked(programs, prompt="a", add_special_tokens=True))["tokens"] == [0, 97]
    assert (await asked(programs, prompt="a", add_special_tokens=False))["tokens"] == [97]


async def test_ids_become_text_again() -> None:
    programs = Programs(ScriptedEngine())
    found = await asked(programs, prompt="a🙂")
    assert await asked(programs, "/detokenize", tokens=found["tokens"]) == {"prompt": "a🙂"}
    assert await asked(programs, "/detokenize", tokens=[]) == {"prompt": ""}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": "x" * 16_001}, "prompt"),
        ({"messages": [{**HI[0], "content": "x" * 16_001}]}, "messages"),
    ],
)
async def test_what_is_too_long_for_any_answer_is_not_tokenized(body: Any, param: str) -> None:
    fault = error(await Programs(ScriptedEngine()).post("/tokenize", body), 400)
    assert fault["message"] == (
        "The prompt is too long: your message has 16,001 characters; the limit is 16,000."
    )
    assert (fault["param"], fault["code"]) == (param, "context_length_exceeded")


@pytest.mark.parametrize("path", ["/tokenize", "/detokenize", "/tokenize/"])
async def test_both_are_at_the_root_too_and_need_the_same_key(path: str) -> None:
    programs = Programs(ScriptedEngine(), api_key="secret")
    for url in (f"http://here{path}", f"http://here/v1{path}"):
        body = {"prompt": "a", "tokens": [97]}
        assert error(await programs.client.post(url, json=body), 401)["code"] == "invalid_api_key"
        right = {"Authorization": "Bearer secret"}
        answer = await programs.client.post(url, json=body, headers=right)
        assert answer.status_code == 200
        error(await programs.client.get(url, headers=right), 405)
        plain = {**right, "Content-Type": "text/plain"}
        error(await programs.client.post(url, content=b"{}", headers=plain), 415)


@pytest.mark.parametrize(
    ("path", "body", "param", "sentence"),
    [
        ("/tokenize", {}, "prompt", "prompt is missing."),
        (
            "/tokenize",
            {"prompt": "a", "messages": HI},
            "prompt",
            "prompt says something else than messages; send one.",
        ),
        ("/tokenize", {"prompt": 5}, "prompt", "prompt must be text."),
        ("/tokenize", {"messages": []}, "messages", "Please write a message first."),
        ("/tokenize", {"messages": [{}]}, "messages[0].role", "messages[0].role is missing."),
        (
            "/tokenize",
            {"messages": HI, "add_generation_prompt": False},
            "add_generation_prompt",
            "add_generation_prompt must be true.",
        ),
        ("/detokenize", {}, "tokens", "tokens is missing."),
        ("/detokenize", {"tokens": "a"}, "tokens", "tokens must be a list."),
        ("/detokenize", {"tokens": ["a"]}, "tokens[0]", "tokens[0] must be a whole number."),
        ("/detokenize", {"tokens": [97, -1]}, "tokens[1]", "tokens[1] is no token of this model."),
        (
            "/detokenize",
            {"tokens": [97] * 16_001},
            "tokens",
            "The prompt is too long: there are 16,001 tokens; the limit is 16,000.",
        ),
        ("/detokenize", {"tokens": [2**70]}, "tokens[0]", "tokens[0] is no token of this model."),
    ],
)
async def test_what_cannot_be_tokenized_is_refused_by_name(
    path: str, body: Any, param: str, sentence: str
) -> None:
    refused: httpx.Response = await Programs(ScriptedEngine()).post(path, body)
    fault = error(refused, 400)
    assert (fault["param"], fault["message"]) == (param, sentence)


def test_a_token_is_known_by_its_id() -> None:
    from chat.core.tokens import FastTokens

    tokenizer = llama2_tokenizer()
    tokens = FastTokens(tokenizer)
    assert all(map(tokens.knows, range(len(tokenizer))))
    assert not any(map(tokens.knows, [-1, len(tokenizer), 2**32, 2**70]))
