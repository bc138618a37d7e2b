"""How vLLM and those who speak its dialect are asked, and what their events say.

The events are written after the sources that `chat.engines.server.vllm` names: vLLM's
CompletionStreamResponse as serving.py fills it (`exclude_unset`), SGLang's of the same name.
"""

from typing import Any

import pytest

from chat.core.engine import Scored
from chat.core.sampling import OPTIONAL, Sampling
from chat.engines.server.dialect import Asked, Dialect, Said
from chat.engines.server.vllm import VLLM, Ours, SGLang
from chat.errors import Broken

EVERY = pytest.mark.parametrize("dialect", [VLLM(), SGLang(), Ours(OPTIONAL)])
#: What vLLM would else take from the model's generation_config.json, and more.
ALWAYS = {
    *("model", "prompt", "stream", "return_token_ids", "stop_token_ids", "max_tokens"),
    *("min_tokens", "temperature", "top_p", "top_k", "min_p", "repetition_penalty"),
    *("presence_penalty", "frequency_penalty"),
}


def asked(sampling: Sampling, negative: tuple[int, ...] = ()) -> Asked:
    return Asked("m", [1, 2], sampling, frozenset({9, 3}), negative)


@EVERY
def test_every_control_is_sent_each_time(dialect: Dialect) -> None:
    body = dialect.body(asked(Sampling()))
    assert body.keys() == ALWAYS
    assert (body["model"], body["prompt"], body["stop_token_ids"]) == ("m", [1, 2], [3, 9])
    assert (body["temperature"], body["top_p"], body["top_k"]) == (0.6, 0.9, 50)
    given = {"seed": 7, "min_new_tokens": 4, "max_new_tokens": 5, "logit_bias": {"5": -3}}
    body = dialect.body(asked(Sampling(**given)))
    assert body["logit_bias"] == {"5": -3.0}
    assert (body["seed"], body["min_tokens"], body["max_tokens"]) == (7, 4, 5)


@EVERY
@pytest.mark.parametrize("greedy", [{"temperature": 0}, {"temperature": 0.001}, {"top_p": 0}])
def test_the_likeliest_token_is_asked_for_in_a_way_that_all_take(
    dialect: Dialect, greedy: dict[str, float]
) -> None:
    body = dialect.body(asked(Sampling(**greedy)))
    off = -1 if isinstance(dialect, SGLang) else 0
    assert [body[name] for name in ("temperature", "top_p", "top_k", "min_p")] == [0, 1, off, 0]


def test_vllm_is_asked_for_patterns_and_scores() -> None:
    def ties(**given: Any) -> Any:
        return VLLM().body(asked(Sampling(**given)))["structured_outputs"]

    assert ties(choices=("a", "b")) == {"choice": ["a", "b"]}
    assert ties(regex="[ab]") == {"regex": "[ab]"}
    assert ties(json_schema='{"type": "integer"}') == {"json": {"type": "integer"}}
    body = VLLM().body(asked(Sampling(logprobs=True, top_logprobs=3)))
    assert (body["logprobs"], body["return_tokens_as_token_ids"]) == (3, True)
    assert "negative_prompt" not in VLLM.supports


def test_sglang_is_asked_for_patterns_in_its_own_fields() -> None:
    def body(**given: Any) -> dict[str, Any]:
        return SGLang().body(asked(Sampling(**given)))

    assert body(choices=("a", "b(")) | {"regex": r"(a)|(b\()"} == body(choices=("a", "b("))
    assert body(json_schema='{"type": "integer"}')["json_schema"] == '{"type": "integer"}'
    assert "structured_outputs" not in body(regex="a")
    assert body(top_k=0)["top_k"] == -1
    assert SGLang.supports.isdisjoint({"logprobs", "top_logprobs", "negative_prompt"})


def test_our_own_takes_what_was_written_and_a_prompt_to_keep_away_from() -> None:
    assert Ours({"regex"}).supports == {"regex"}
    body = Ours(OPTIONAL).body(asked(Sampling(regex=r"\d+", guidance_scale=3.0), (4, 5)))
    assert body["structured_outputs"] == {"regex": r"\d+"}
    assert (body["negative_prompt_ids"], body["guidance_scale"]) == ([4, 5], 3.0)
    odd = '{"type": "number", "default": NaN}'  # which is JSON to Python alone
    body = Ours(OPTIONAL).body(asked(Sampling(json_schema=odd)))
    assert body["structured_outputs"] == {"json": odd}


def chosen(**choice: Any) -> dict[str, Any]:
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "text": "", "logprobs": None, "finish_reason": None, **choice}],
    }


#: As vLLM streams: the ids of the prompt with the first, then more, and then usage.
VLLM_EVENTS = [
    chosen(text=" Pa", stop_reason=None, prompt_token_ids=[1, 2], token_ids=[7042]),
    chosen(text="", stop_reason=None, prompt_token_ids=None, token_ids=[11]),
    chosen(text="ris.", stop_reason=None, token_ids=[12, 13]),
    chosen(finish_reason="stop", stop_reason=9, token_ids=[9]),
]
USAGE = {"id": "cmpl-1", "choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 5}}


def test_what_vllm_streams() -> None:
    read = VLLM().reader(Sampling())
    assert read(USAGE) == Said([], ended=False)
    said = [read(event) for event in VLLM_EVENTS]
    assert [one.ids for one in said] == [[7042], [11], [12, 13], [9]]
    assert [one.ended for one in said] == [False, False, False, True]
    assert read(chosen(token_ids=[5], finish_reason="length")) == Said([5], ended=True)


def test_what_sglang_streams() -> None:
    """Without what it stopped at, which its last event names."""
    events = [
        chosen(text=" Paris", matched_stop=None, token_ids=[7042, 11], prompt_token_ids=[1, 2]),
        chosen(finish_reason="stop", matched_stop=9, token_ids=[]),
    ]
    read = SGLang().reader(Sampling())
    assert [read(event) for event in events] == [
        Said([7042, 11], ended=False),
        Said([9], ended=True),
    ]


def test_the_likeliest_tokens_of_vllm_come_by_their_ids() -> None:
    """It gives the chosen one first, and one more than was asked for where that is not likely."""
    scores = {
        "text_offset": [0, 1],
        "tokens": ["token_id:5", "token_id:6"],
        "token_logprobs": [-3.0, -0.5],
        "top_logprobs": [
            {"token_id:5": -3.0, "token_id:7": -0.25, "token_id:8": -1.0},
            {"token_id:6": -0.5, "token_id:9": -9999.0},
        ],
    }
    read = VLLM().reader(Sampling(logprobs=True, top_logprobs=2))
    ids = read(chosen(token_ids=[5, 6], logprobs=scores)).ids
    assert ids == [5, 6]
    assert [id.logprob for id in ids if isinstance(id, Scored)] == [-3.0, -0.5]
    assert [id.top for id in ids if isinstance(id, Scored)] == [
        ((7, -0.25), (8, -1.0)),
        ((6, -0.5), (9, -9999.0)),
    ]
    with pytest.raises(ValueError, match="zip"):
        read(chosen(token_ids=[5], logprobs=scores))


def test_what_makes_no_sense_is_not_taken_for_ids() -> None:
    read = VLLM().reader(Sampling())
    for ids in (["5"], [True], [-1], [1.0], {"5": 1}, [2**31], [10**30]):
        with pytest.raises(TypeError):
            read(chosen(token_ids=ids))
    with pytest.raises(KeyError):
        read({})
    with pytest.raises(Broken):
        read(chosen(token_ids=[], finish_reason="abort"))


@pytest.mark.parametrize("logprob", ["-1", None, True, float("nan")])
def test_what_makes_no_sense_is_not_taken_for_log_probabilities(logprob: Any) -> None:
    sampling = Sampling(logprobs=True, top_logprobs=1)
    for chosen_one, other in ((logprob, -1.0), (-1.0, logprob)):
        theirs = {"token_logprobs": [chosen_one], "top_logprobs": [{"token_id:5": other}]}
        ours = {"token_logprobs": [chosen_one], "top": [[[5, other]]]}
        for dialect, scores in ((VLLM(), theirs), (Ours(OPTIONAL), ours)):
            with pytest.raises(TypeError):
                dialect.reader(sampling)(chosen(token_ids=[5], logprobs=scores))


def test_the_likeliest_tokens_are_ids_that_a_tokenizer_takes() -> None:
    scores = {"token_logprobs": [-1.0], "top": [[[10**30, -1.0]]]}
    read = Ours(OPTIONAL).reader(Sampling(logprobs=True, top_logprobs=1))
    with pytest.raises(TypeError):
        read(chosen(token_ids=[5], logprobs=scores))


def test_what_an_event_about_usage_says_of_the_cache() -> None:
    usage = {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 8}}
    read = VLLM().reader(Sampling())
    assert read({**USAGE, "usage": usage}) == Said([], ended=False, cached=8)
    nonsense = ({"prompt_tokens_details": {"cached_tokens": none}} for none in ("8", -1, 8.0, None))
    for other in (None, {"prompt_tokens_details": None}, *nonsense):
        assert read({**USAGE, "usage": other}) == Said([], ended=False)
