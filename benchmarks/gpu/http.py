"""The whole app over HTTP: its start, and several people at its API at once."""

import importlib.util
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

from benchmarks.gpu.bench import Bench, Skipped, figure
from benchmarks.gpu.report import Result
from benchmarks.server import APP, serving

#: Seconds for one answer.
PATIENCE = 120


class Answer(NamedTuple):
    """One streamed reply."""

    sent: float
    first: float
    end: float
    tokens: int


def people(bench: Bench) -> Result:
    """Start the app with the batched engine, and measure so many at once at /v1/completions."""
    if not importlib.util.find_spec("gradio"):
        raise Skipped("gradio is not installed, without which the app serves no page")
    flags = ["--model", str(bench.folder), "--engine", "batched"]
    flags += ["--cache-dir", str(bench.scratch), "--context-window", str(bench.window)]
    size = bench.size
    with serving(APP, flags, None) as server:
        hello = ask(server.url, bench.ids(size.prompt, 1), 4, 0)
        found: Result = {
            "start_to_page_s": figure(server.page),
            "start_to_first_token_s": figure(hello.first - server.began),
        }
        for count in size.people:
            prompts = [bench.ids(size.prompt, 500 * count + user) for user in range(count)]
            with ThreadPoolExecutor(count) as crowd:
                asked = [
                    crowd.submit(ask, server.url, prompt, size.tokens, user)
                    for user, prompt in enumerate(prompts)
                ]
                answers = [answer.result() for answer in asked]
            found[f"{count}"] = _figures(answers)
        return {**found, "used_gb": bench.used_gb()}


def ask(url: str, prompt: list[int], tokens: int, seed: int) -> Answer:
    """Have a reply streamed, with the app's own sampling, and no sooner ended."""
    body = {
        "prompt": prompt,
        "max_tokens": tokens,
        "min_tokens": tokens,
        "seed": seed,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    headers = {"Content-Type": "application/json"}
    request = Request(f"{url}/v1/completions", json.dumps(body).encode(), headers)
    sent, first, usage = time.perf_counter(), 0.0, dict[str, Any]()
    with urlopen(request, timeout=PATIENCE) as lines:
        for line in lines:
            name, _, data = line.decode().partition(": ")
            if name != "data" or data.strip() == "[DONE]":
                continue
            event = json.loads(data)
            if error := event.get("error"):
                raise RuntimeError(error["message"])
            if not first and any(choice["text"] for choice in event["choices"]):
                first = time.perf_counter()
            usage = event.get("usage") or usage
    return Answer(sent, first, time.perf_counter(), usage["completion_tokens"])


def _figures(answers: list[Answer]) -> Result:
    waits = [1000 * (answer.first - answer.sent) for answer in answers]
    seconds = max(answer.end for answer in answers) - min(answer.sent for answer in answers)
    return {
        "total_tokens_per_s": figure(sum(answer.tokens for answer in answers) / seconds),
        "first_token_ms": figure(statistics.median(waits)),
        "first_token_worst_ms": figure(max(waits)),
    }
