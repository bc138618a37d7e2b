"""20,000 requests over HTTP to the page, the API and the backend; what came back, and the log."""

import asyncio
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, cycle, islice
from random import Random
from urllib.request import urlopen

from benchmarks.gpu.checkpoints import tokenizer
from benchmarks.reliability.echo.app import VOCABULARY
from benchmarks.reliability.echo.asked import message, reply
from benchmarks.reliability.echo.serving import Serving, serving
from benchmarks.reliability.http import raw
from benchmarks.reliability.http.described import CANARY, Described
from benchmarks.reliability.http.others import Backend, Gradio
from benchmarks.reliability.http.raw import Raw
from benchmarks.reliability.http.wire import Answer, closes, complete, exchange, statuses
from benchmarks.reliability.steps import Found
from chat.errors import UNEXPECTED

COUNT = 20_000
#: At once, and after how many the server has to answer one exactly.
TOGETHER, BETWEEN = 8, 200
#: How Python says that something went wrong, in a body or a log.
TRACE = re.compile(r'Traceback \(most recent|File "[^"]+", line \d|Exception in ')
CRASH = re.compile(r"Traceback \(most recent|Exception in ")
WHAT = re.compile(r"^(?:\w+\.)*(\w+)(?::| at$)", re.M)
#: What uvicorn's server says of an answer that came after it had refused the rest of the request.
ANSWERED = "LocalProtocolError"

#: Of all requests, which share is sent where.
API, GRADIO, BACKEND, RAW = 0.35, 0.25, 0.15, 0.25


def run(share: float) -> Found:
    """Send them, and say what was wrong with what came of any."""
    with serving("page") as page, serving("backend") as backend:
        return asyncio.run(_run(math.ceil(COUNT * share), page, backend))


async def _run(count: int, page: Serving, backend: Serving) -> Found:
    judge = Judge()
    random = Random(count)
    description, config = (_json(page, path) for path in ("/v1/openapi.json", "/config"))
    described, gradio = Described(description, random), Gradio(config, random)
    plan: list[tuple[str, Serving, Iterator[Raw]]] = [
        ("described by OpenAPI", page, _made(described, count * API)),
        ("to Gradio's addresses", page, _made(gradio, count * GRADIO)),
        ("to the backend", backend, _made(Backend(random), count * BACKEND)),
        ("raw, to the page's port", page, _raw(random, count * RAW / 2, raw.chat)),
        ("raw, to the backend's port", backend, _raw(random, count * RAW / 2, raw.backend)),
    ]
    figures: dict[str, float | str] = {}
    for name, server, requests in plan:
        before = judge.sent
        await judge.send_all(server, requests)
        figures[f"requests {name}"] = judge.sent - before
    for server in (page, backend):
        judge.look_at_log(server)
    told = ", ".join(f"{status}: {count}" for status, count in sorted(judge.statuses.items()))
    figures["statuses"] = told
    figures["closed without an answer"] = judge.closed
    figures["wrong"] = judge.wrong.total()
    return Found(figures, [f"{number} times: {what}." for what, number in judge.wrong.items()])


class Judge:
    """Sends requests, and notes what must not come of any."""

    def __init__(self) -> None:
        self.sent = 0
        self.closed = 0
        self.statuses = Counter[int]()
        self.wrong = Counter[str]()

    async def send_all(self, server: Serving, requests: Iterator[Raw]) -> None:
        """Send requests, a few at a time; now and then the server has to answer one exactly."""
        while batch := [*islice(requests, BETWEEN)]:
            pending = iter(batch)
            await asyncio.gather(*(self._send(server.port, pending) for _ in range(TOGETHER)))
            await self.look_at(server)

    async def _send(self, port: int, pending: Iterator[Raw]) -> None:
        for sent in pending:
            self.sent += 1
            try:
                answer = await exchange(port, sent.parts, sent.pause, whole=sent.whole)
            except OSError as error:
                self.wrong[f"no connection ({error.strerror})"] += 1
                continue
            self.judge(sent, answer)

    def judge(self, sent: Raw, answer: Answer | None) -> None:
        """Note what is wrong with what came back; None if nothing did, and nobody hung up."""
        about = _about(sent)
        if answer is None:
            self.wrong[f"no answer {about}"] += 1
            return
        found = statuses(answer.data)
        self.statuses.update(found)
        self.closed += not found
        if not found and sent.whole:
            self.wrong[f"hung up {about}"] += 1
        if found and sent.whole and closes(sent.parts):
            if not answer.ended:
                self.wrong[f"it stood still {about}"] += 1
            elif not complete(answer.data, b"".join(sent.parts).partition(b" ")[0]):
                self.wrong[f"the answer was cut {about}"] += 1
        text = answer.data.decode(errors="replace")
        if 500 in found:
            self.wrong[f"500 {about}"] += 1
        if TRACE.search(text):
            self.wrong[f"a traceback in the answer {about}"] += 1
        if UNEXPECTED in text:
            self.wrong[f"an error that nobody foresaw {about}"] += 1

    async def look_at(self, server: Serving) -> None:
        """Have the server answer one request exactly."""
        self.sent += 1
        word = f"moon{self.sent}"
        sent, whole = (raw.chat(word), reply(word)) if server.door == "page" else _ids(word)
        answer = await exchange(server.port, [sent])
        if not (answer and answer.ended and whole.encode() in answer.data):
            self.wrong[f"the next request was not answered exactly ({answer!r:.300})"] += 1

    def look_at_log(self, server: Serving) -> None:
        """Note what must not be in what the server wrote, and whether it has ended."""
        output = server.output
        if CANARY in output:
            self.wrong["what a person wrote is in the log"] = output.count(CANARY)
        for trace in CRASH.finditer(output):
            what = WHAT.search(output, trace.end())
            if what and what[1] != ANSWERED:
                self.wrong[f"a traceback in the log ({what[1]})"] += 1
        if server.process.poll() is not None:
            self.wrong["the server has ended"] += 1


def _about(sent: Raw) -> str:
    """Return what a request was, by its kind and its address."""
    words = b"".join(sent.parts[:2])[:200].split()[:2]
    line = " ".join(word.decode("latin-1")[:60] for word in words)
    return f"to one that was {sent.kind} ({line!r})" if sent.kind else f"to {line!r}"


def _made(make: Callable[[], bytes], count: float) -> Iterator[Raw]:
    return (Raw("", [make()]) for _ in range(math.ceil(count)))


def _raw(random: Random, count: float, make: Callable[..., bytes]) -> Iterator[Raw]:
    """Return so many raw requests: odd ones, and cuts at every byte, more than once if need be."""
    sent = make(), make(stream=True)
    everything = [*chain.from_iterable(chain(raw.odd(one), raw.cuts(one)) for one in sent)]
    random.shuffle(everything)
    return islice(cycle(everything), math.ceil(count))


def _ids(word: str) -> tuple[bytes, str]:
    """Return a request to a backend for a word, and what has to be in the answer."""
    tokens = tokenizer(VOCABULARY)
    return raw.backend(tokens(message(word))["input_ids"]), str(tokens(reply(word))["input_ids"])[
        :-1
    ]


def _json(server: Serving, path: str) -> dict[str, object]:
    with urlopen(server.url + path) as answer:
        return dict(json.load(answer))
