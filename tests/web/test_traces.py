"""chat.web.traces: a span for each reply, in stand-ins for OpenTelemetry's packages."""

import logging
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from chat.core.meter import Meter
from chat.errors import BadRequest
from chat.web import traces

PACKAGES = {
    "opentelemetry.exporter.otlp.proto.http.trace_exporter": "OTLPSpanExporter",
    "opentelemetry.sdk.trace": "TracerProvider",
    "opentelemetry.sdk.trace.export": "BatchSpanProcessor",
}


class Provider:
    """Keeps what it is told."""

    spans: list[dict[str, Any]]

    def add_span_processor(self, processor: object) -> None:
        pass

    def get_tracer(self, name: str) -> "Provider":
        Provider.spans = []
        return self

    def start_span(self, name: str, start_time: int) -> Any:
        span: dict[str, Any] = {"name": name, "start": start_time}
        Provider.spans.append(span)
        return SimpleNamespace(
            set_attributes=span.update, end=lambda end_time: span.update(end=end_time)
        )


@pytest.fixture
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in PACKAGES:
        for depth in range(1, package.count(".") + 1):
            parent = ".".join(package.split(".")[:depth])
            monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
    for package, name in PACKAGES.items():
        module = ModuleType(package)
        setattr(module, name, Provider if name == "TracerProvider" else lambda *_: None)
        monkeypatch.setitem(sys.modules, package, module)


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize("variable", traces.ENDPOINTS)
def test_a_reply_is_a_span_with_its_tokens_and_its_end(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:4318")
    meter = Meter()
    traces.begin(meter)
    with meter.reply() as measured:
        measured.begin(7)
        measured.wrote(1)
        measured.wrote(2)
        measured.ending = "length"
    with pytest.raises(BadRequest), meter.reply():
        raise BadRequest("Refused.")
    (span,) = Provider.spans
    assert span["end"] > span["start"]
    assert span["gen_ai.usage.input_tokens"] == 7
    assert span["gen_ai.usage.output_tokens"] == 3
    assert (span["fourbit.ending"], span["fourbit.resumed"]) == ("length", 0)
    assert span["fourbit.first_token_seconds"] >= 0


@pytest.mark.usefixtures("_installed")
def test_without_a_variable_nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in traces.ENDPOINTS:
        monkeypatch.delenv(variable, raising=False)
    meter = Meter()
    traces.begin(meter)
    assert meter.watchers == []


def test_without_the_packages_it_is_said_which_are_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(traces.ENDPOINTS[0], "http://127.0.0.1:4318")
    for package in PACKAGES:
        monkeypatch.setitem(sys.modules, package, None)
    meter = Meter()
    with caplog.at_level(logging.WARNING):
        traces.begin(meter)
    assert meter.watchers == []
    assert "fourbit-chat[traces]" in caplog.text
