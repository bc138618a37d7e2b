"""chat.web.metrics: `GET /metrics`, as Prometheus reads it."""

import httpx
import pytest
from gradio_client import Client
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine

NAMED_BY_VLLM = {
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:time_to_first_token_seconds_bucket",
    "vllm:inter_token_latency_seconds_sum",
    "vllm:e2e_request_latency_seconds_count",
    "vllm:request_queue_time_seconds_count",
    "vllm:prompt_tokens_total",
    "vllm:generation_tokens_total",
    "vllm:request_success_total",
}


def scrape(url: str, **headers: str) -> dict[tuple[str, str], float]:
    """Return each value by its name, and by what tells it from others of that name."""
    answer = httpx.get(f"{url}metrics", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for name, labels, value, *_ in family.samples:
            told = [labels.get(key) for key in ("finished_reason", "kind", "state", "le")]
            found[name, next(filter(None, told), "")] = value
    return found


def test_replies_are_counted_under_the_names_that_vllm_has(serve: Serve) -> None:
    url = serve(ScriptedEngine(lambda prompt: "secret words"), max_waiting=3)
    before = scrape(url)
    assert {name for name, _ in before} >= NAMED_BY_VLLM
    assert before["vllm:generation_tokens_total", ""] == 0
    Client(url, verbose=False).predict("my diary", api_name="/chat")
    body = {"messages": [{"role": "user", "content": "my diary"}], "max_tokens": 3}
    assert httpx.post(f"{url}v1/chat/completions", json=body).status_code == 200
    refused = httpx.post(f"{url}v1/chat/completions", json={**body, "regex": "a"})
    assert refused.status_code == 400
    after = scrape(url)
    assert after["vllm:request_success_total", "stop"] == 1
    assert after["vllm:request_success_total", "length"] == 1
    assert after["vllm:generation_tokens_total", ""] == len("secret words|") + 3
    assert after["vllm:time_to_first_token_seconds_count", ""] == 2
    assert after["vllm:time_to_first_token_seconds_bucket", "+Inf"] == 2
    assert after["fourbit_replies_refused_total", "bad_request"] == 1
    assert after["process_resident_memory_bytes", ""] > 0
    text = httpx.get(f"{url}metrics").text
    assert "diary" not in text
    assert "secret" not in text


def test_it_says_how_many_write_and_wait_and_what_the_engine_does(serve: Serve) -> None:
    engine = ScriptedEngine(lambda prompt: "word " * 1000, pace=0.02)
    url = serve(engine, max_waiting=3)
    jobs = [Client(url, verbose=False).submit("Hi", api_name="/chat") for _ in range(2)]
    assert all(next(iter(job)) for job in jobs)
    found = scrape(url)
    assert found["vllm:num_requests_running", ""] == 1
    assert found["vllm:num_requests_waiting", ""] == 1
    for job in jobs:
        job.cancel()
    for state in ("loading", "failed", "ready"):
        engine.state = state
        states = {label: on for (name, label), on in scrape(url).items() if "state" in name}
        assert states == {one: one == state for one in ("ready", "loading", "failed")}


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({}, 200),
        ({"auth": "ann:secret"}, 401),
        ({"api_key": "sesame"}, 401),
        ({"share": True}, 401),
        ({"share": True, "api_key": "sesame"}, 401),
    ],
)
def test_strangers_see_no_figures(
    settings: dict[str, object], status: int, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradio.networking.setup_tunnel", lambda **_: "https://x.gradio.live")
    url = serve(ScriptedEngine(), max_waiting=3, **settings)
    assert httpx.get(f"{url}metrics").status_code == status
    if "api_key" in settings:
        assert scrape(url, Authorization="Bearer sesame")


def test_two_servers_in_a_process_count_their_own(serve: Serve) -> None:
    one, other = (serve(ScriptedEngine(), max_waiting=3, top_k=k) for k in (1, 2))
    Client(one, verbose=False).predict("Hi", api_name="/chat")
    assert scrape(one)["vllm:request_success_total", "stop"] == 1
    assert scrape(other)["vllm:request_success_total", "stop"] == 0
