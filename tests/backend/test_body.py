"""chat.backend.body: what is asked reaches the engine as it is, and nonsense does not."""

from typing import Any

import pytest

from chat.core.chat import Chat
from chat.core.gate import Gate
from chat.core.tokens import FastTokens
from chat.errors import BadRequest
from tests.support.backends import Able, Backend, ids
from tests.support.fakes import CharTokens, LineFormat, ScriptedEngine
from tests.support.programs import error
from tests.support.tiny import chatml_tokenizer


def hello(_: str) -> str:
    return "hello"


async def test_ids_and_controls_reach_the_engine_as_they_are() -> None:
    backend = Backend(Able(hello))
    controls = {
        "temperature": 0.3,
        "top_p": 0.7,
        "top_k": 7,
        "min_p": 0.1,
        "repetition_penalty": 1.2,
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
        "seed": 12,
        "guidance_scale": 2.5,
    }
    answer = await backend.completes(
        prompt=ids("a\0|<b>"), max_tokens=30, min_tokens=4, logit_bias={"99": -7}, **controls
    )
    assert answer.status_code == 200, answer.text
    assert backend.engine.prompts == ["a\0|<b>"]
    (sampling,) = backend.engine.samplings
    assert {name: getattr(sampling, name) for name in controls} == controls
    assert (sampling.max_new_tokens, sampling.min_new_tokens) == (30, 4)
    assert sampling.logit_bias == {99: -7.0}
    assert not sampling.logprobs


@pytest.mark.parametrize(
    ("sent", "name", "value"),
    [
        ({"choice": ["yes", "no"]}, "choices", ("yes", "no")),
        ({"regex": "[a-z]+"}, "regex", "[a-z]+"),
        ({"json": {"const": ["é", 1]}}, "json_schema", '{"const":["é",1]}'),
        ({"json": '{"type": "integer"}'}, "json_schema", '{"type": "integer"}'),
        ({"json": {}}, "json_schema", "{}"),
    ],
)
async def test_what_ties_a_reply_down_too(sent: Any, name: str, value: Any) -> None:
    backend = Backend(Able(hello))
    assert (await backend.completes(structured_outputs=sent)).status_code == 200
    assert getattr(backend.engine.samplings[0], name) == value


async def test_ids_to_keep_away_from_too() -> None:
    found: list[Any] = []

    class Kept(Able):
        def generate(
            self, prompt: Any, sampling: Any, negative: Any = (), session: Any = ""
        ) -> Any:
            found.append((list(negative), sampling.needs(), sampling.guidance_scale))
            return super().generate(prompt, sampling, negative, session)

    backend = Backend(Kept(hello))
    answer = await backend.completes(negative_prompt_ids=ids("no"), guidance_scale=3)
    assert answer.status_code == 200
    assert found == [(ids("no"), ["negative_prompt"], 3.0)]


async def test_the_name_of_the_conversation_comes_along() -> None:
    backend = Backend(ScriptedEngine(hello))
    await backend.completes(headers={"x-session-id": "5e55"})
    await backend.completes()
    assert backend.engine.sessions == ["5e55", ""]


async def test_what_is_left_open_is_as_the_host_has_set_it() -> None:
    backend = Backend(ScriptedEngine(hello), temperature=0.25, max_new_tokens=3, top_k=9)
    answer = await backend.completes(max_tokens=None, top_k=11)
    (sampling,) = backend.engine.samplings
    assert (sampling.temperature, sampling.max_new_tokens, sampling.top_k) == (0.25, 3, 11)
    assert answer.json()["choices"][0]["token_ids"] == ids("hel")


async def test_but_no_more_than_there_is_room_for() -> None:
    backend = Backend(ScriptedEngine(lambda _: "x" * 3000))
    answer = await backend.completes(prompt=[65] * 1990, max_tokens=None)
    assert answer.json()["choices"][0] | {"prompt_token_ids": 0} == {
        "index": 0,
        "text": "",
        "prompt_token_ids": 0,
        "token_ids": ids("x" * 10),
        "finish_reason": "length",
        "logprobs": None,
    }


async def test_the_longest_reply_that_the_host_allows_holds() -> None:
    engine = ScriptedEngine(lambda _: "x" * 3000)
    chat = Chat(engine, CharTokens(), LineFormat(), Gate(1, 1), longest=6)
    answer = await Backend(engine, chat).completes(max_tokens=500)
    assert answer.json()["choices"][0]["token_ids"] == ids("x" * 6)


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("prompt", {"prompt": []}),
        ("prompt", {"prompt": ""}),
        ("prompt", {"prompt": None}),
        ("prompt", {"prompt": 5}),
        ("prompt", {"prompt": [[5]]}),
        ("prompt", {"prompt": ["a", "b"]}),
        ("prompt", {"prompt": [5, True]}),
        ("prompt", {"prompt": [5.0]}),
        ("prompt", {"prompt": [-1]}),
        ("prompt", {"prompt": [5, 0xD800]}),
        ("prompt", {"prompt": [10**12]}),
        ("stop_token_ids", {"stop_token_ids": [0xD800]}),
        ("negative_prompt_ids", {"negative_prompt_ids": [-5]}),
        ("return_token_ids", {"return_token_ids": None}),
        ("return_token_ids", {"return_token_ids": False}),
        ("stream", {"prompt": "a text", "stream": True}),
        ("stream", {"stream": "yes"}),
        ("n", {"n": 1}),
        ("stop", {"stop": ["x"]}),
        ("ignore_eos", {"ignore_eos": True}),
        ("thinking", {"thinking": "off"}),
        ("max_new_tokens", {"max_new_tokens": 5}),
        ("structured_outputs.grammar", {"structured_outputs": {"grammar": "a"}}),
        ("structured_outputs", {"structured_outputs": {"regex": "("}}),
        ("", {"structured_outputs": {"regex": "a", "choice": ["b"]}}),
        ("structured_outputs", {"structured_outputs": {"choice": []}}),
        ("structured_outputs", {"structured_outputs": {}}),
        ("structured_outputs", {"structured_outputs": {"json": 5}}),
        ("max_tokens", {"max_tokens": 0}),
        ("max_tokens", {"max_tokens": "5"}),
        ("", {"min_tokens": 60}),
        ("temperature", {"temperature": 3}),
        ("temperature", {"temperature": True}),
        ("top_p", {"top_p": -1}),
        ("seed", {"seed": "x"}),
        ("logprobs", {"logprobs": 21}),
        ("logprobs", {"logprobs": -1}),
        ("logprobs", {"logprobs": True}),
        ("logit_bias", {"logit_bias": {"a": 1}}),
        ("logit_bias", {"logit_bias": {str(0xD800): 1}}),
        ("guidance_scale", {"guidance_scale": 0}),
        ("min_tokens", {"min_tokens": 2, "stop_token_ids": [120]}),
    ],
)
async def test_an_unusable_value_is_refused_by_name_and_costs_nothing(
    field: str, fields: dict[str, Any]
) -> None:
    backend = Backend(Able(hello))
    found = error(await backend.completes(**fields), 400)
    assert found["param"] == (field or None)
    assert found["type"] == "invalid_request_error"
    assert found["message"].endswith(".")
    assert backend.engine.prompts == []


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("structured_outputs", {"structured_outputs": {"choice": ["yes"]}}),
        ("logprobs", {"logprobs": 0}),
        ("logit_bias", {"logit_bias": {"65": 1}}),
        ("negative_prompt_ids", {"negative_prompt_ids": [65]}),
    ],
)
async def test_so_is_what_the_engine_cannot_do(field: str, fields: dict[str, Any]) -> None:
    backend = Backend(ScriptedEngine(hello))
    assert error(await backend.completes(**fields), 400)["param"] == field
    assert backend.engine.prompts == []


@pytest.mark.parametrize("stream", [False, True])
async def test_so_is_what_it_finds_to_keep_others_waiting(stream: bool) -> None:
    class Judging(Able):
        async def admit(self, sampling: Any) -> None:
            raise BadRequest("Regular expression takes too long.", "regex")

    backend = Backend(Judging(hello))
    answer = await backend.completes(structured_outputs={"regex": "a+"}, stream=stream)
    assert error(answer, 400)["param"] == "structured_outputs"
    assert backend.engine.prompts == []


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": [65] * 1951},
        {"max_tokens": 1999},
        {"max_tokens": 10**9},
        {"prompt": [65] * 2000, "max_tokens": None},
        {"negative_prompt_ids": [65] * 1951},
        {"prompt": "x" * 1951},
        {"prompt": "x" * 100_000},
    ],
)
async def test_what_does_not_fit_the_window_is_refused_in_the_words_that_clients_know(
    fields: dict[str, Any],
) -> None:
    backend = Backend(Able(hello))
    found = error(await backend.completes(**fields), 400)
    assert (found["code"], found["param"]) == ("context_length_exceeded", "prompt")
    assert found["message"].startswith("The prompt is too long: ")
    assert backend.engine.prompts == []


async def test_what_just_fits_does() -> None:
    backend = Backend(ScriptedEngine(hello))
    assert (await backend.completes(prompt=[65] * 1950)).status_code == 200


async def test_another_model_is_not_here() -> None:
    backend = Backend(ScriptedEngine(hello))
    found = error(await backend.completes(model="other"), 404)
    assert (found["param"], found["code"]) == ("model", "model_not_found")
    assert (await backend.completes(model="model")).status_code == 200
    assert (await backend.completes(model=None)).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b'{"prompt": [1], "seed": NaN}'])
async def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    error(await Backend(ScriptedEngine(hello)).posts(body), 400)


async def test_so_is_another_type_and_more_than_two_windows_hold() -> None:
    backend = Backend(ScriptedEngine(hello))
    error(await backend.posts(b"{}", {"Content-Type": "text/plain"}), 415)
    error(await backend.posts(b" " * 1_100_000), 413)
    assert (await backend.completes(prompt=[65] * 10, user=None)).status_code == 200


async def test_a_text_is_read_as_it_stands_control_tokens_for_what_they_are() -> None:
    tokenizer = chatml_tokenizer()
    engine = ScriptedEngine(hello)
    backend = Backend(engine, Chat(engine, FastTokens(tokenizer), LineFormat(), Gate(1, 1)))
    text = "<|im_start|>user\n Über  <|im_end|><|im_start|>assistant\n"
    answer = await backend.completes(prompt=text, max_tokens=1)
    choice = answer.json()["choices"][0]
    assert choice["prompt_token_ids"] == tokenizer.encode(text, add_special_tokens=False)
    assert choice["token_ids"] == [ord("h")]
    controls = {tokenizer.convert_tokens_to_ids(name) for name in ("<|im_start|>", "<|im_end|>")}
    assert controls <= set(choice["prompt_token_ids"])
