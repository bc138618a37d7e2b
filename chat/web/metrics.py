"""`GET /metrics`: what `chat.core.meter` has counted, as Prometheus reads it.

What vLLM counts too has its name here, so that dashboards and autoscalers made for it work; what
begins with `fourbit_` is our own. They are numbers, and the public name of the model. Whoever
may not use the API may not see them, nor may strangers who have a share link.

Sources: Prometheus' exposition formats; `vllm/v1/metrics/loggers.py` for the names.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from chat import __version__, space
from chat.core.chat import Chat, interval
from chat.core.engine import Engine, State
from chat.core.gate import Gate
from chat.core.meter import ENDINGS, Histogram, Meter
from chat.errors import BadRequest, Draining, QueueFull, RateLimited, TooLong
from chat.settings import Settings
from chat.web.api.authentication import Authentication

STATES: tuple[State, ...] = ("ready", "loading", "failed")
#: How refusals are called, by their errors; `BadRequest` is what people can mend.
REFUSALS = {
    BadRequest: "bad_request",
    TooLong: "too_long",
    QueueFull: "queue_full",
    RateLimited: "rate_limited",
    Draining: "draining",
}


@dataclass(frozen=True)
class Watched(Collector):
    """What there is to tell of one server."""

    meter: Meter
    engine: Engine
    gate: Gate
    #: The public name of its model.
    name: str

    def collect(self) -> Iterator[Metric]:
        """Yield all there is, as it stands."""
        yield from self._as_vllm_has_it()
        yield from self._our_own()

    def _as_vllm_has_it(self) -> Iterator[Metric]:
        meter, gate, model = self.meter, self.gate, {"model_name": self.name}
        yield _gauge("vllm:num_requests_running", "Replies being written.", [(model, gate.inside)])
        yield _gauge("vllm:num_requests_waiting", "Replies in line.", [(model, gate.waiting)])
        yield _counter("vllm:prompt_tokens", "Tokens of prompts.", [(model, meter.prompt_tokens)])
        yield _counter("vllm:generation_tokens", "Tokens of replies.", [(model, meter.tokens)])
        yield _counter(
            "vllm:request_success",
            "Replies by how they ended.",
            [({**model, "finished_reason": one}, meter.ended[one]) for one in ENDINGS],
        )
        for name, help, histogram in (
            ("vllm:time_to_first_token_seconds", "From request to first token.", meter.first),
            ("vllm:inter_token_latency_seconds", "Between two tokens of a reply.", meter.between),
            ("vllm:e2e_request_latency_seconds", "Of whole replies.", meter.whole),
            ("vllm:request_queue_time_seconds", "In line.", meter.waited),
        ):
            yield _histogram(name, help, model, histogram)

    def _our_own(self) -> Iterator[Metric]:
        meter, gate = self.meter, self.gate
        state = self.engine.state
        yield _gauge("fourbit_info", "The version.", [({"version": __version__}, 1)])
        yield _gauge(
            "fourbit_engine_state",
            "1 for the state that the engine is in.",
            [({"state": one}, one == state) for one in STATES],
        )
        yield _gauge("fourbit_draining", "1 if no reply is begun any more.", [({}, gate.shut)])
        yield _gauge("fourbit_parallel", "Replies at once, at most.", [({}, self.engine.parallel)])
        yield _gauge(
            "fourbit_update_interval_seconds",
            "Between two updates of a reply.",
            [({}, interval(gate.inside))],
        )
        yield _counter(
            "fourbit_replies_refused",
            "Replies that were refused, by why.",
            [({"kind": name}, meter.refused[kind.__name__]) for kind, name in REFUSALS.items()],
        )
        yield _counter(
            "fourbit_replies_resumed",
            "How often another went on with a reply, after what wrote it had ended.",
            [({}, meter.resumed)],
        )
        yield _counter(
            "fourbit_dropped_turns",
            "Oldest turns that a window had no room for.",
            [({}, meter.dropped_turns)],
        )


def route(chat: Chat, settings: Settings) -> Route:
    """Return the route, for whoever may use the API."""
    watched = Watched(chat.meter, chat.engine, chat.gate, chat.name)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(watched)
    ProcessCollector(registry=registry)  # its memory, its CPU seconds, its open files

    async def metrics(scope: Scope, receive: Receive, send: Send) -> None:
        public = settings.share or space.on_space()
        if public and not (settings.api_key or settings.api_keys):
            raise HTTPException(401, "Where strangers come, figures ask for an --api-key.")
        headers = {"Cache-Control": "no-store"}
        text = generate_latest(registry)
        answer = Response(text, headers=headers, media_type=CONTENT_TYPE_PLAIN_0_0_4)
        await answer(scope, receive, send)

    guarded: ASGIApp = Authentication(metrics, settings, chat.shares)
    return Route("/metrics", guarded, methods=["GET"])


#: Labels and a value, for each of them.
Values = Sequence[tuple[dict[str, str], float]]


def _gauge(name: str, help: str, values: Values) -> Metric:
    return _filled(GaugeMetricFamily(name, help, labels=[*values[0][0]]), values)


def _counter(name: str, help: str, values: Values) -> Metric:
    return _filled(CounterMetricFamily(name, help, labels=[*values[0][0]]), values)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Values) -> Metric:
    for labels, value in values:
        family.add_metric([*labels.values()], float(value))
    return family


def _histogram(name: str, help: str, labels: dict[str, str], histogram: Histogram) -> Metric:
    family = HistogramMetricFamily(name, help, labels=list(labels))
    buckets, so_far = [], 0
    for bound, count in zip([*map(str, histogram.bounds), "+Inf"], histogram.counts, strict=True):
        so_far += count
        buckets.append((bound, float(so_far)))
    family.add_metric(list(labels.values()), buckets, histogram.sum)
    return family
