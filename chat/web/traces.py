"""Traces: a span for each reply, with numbers and without text, where OpenTelemetry is installed.

They are off unless a variable of OpenTelemetry says where they go; what else it can be told by
variables holds too, such as `OTEL_SERVICE_NAME`.
"""

import logging
import os
import time
from functools import partial
from typing import Any

from chat.core.meter import Measured, Meter

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

log = logging.getLogger(__name__)


def begin(meter: Meter) -> None:
    """Send a span whenever a reply has ended, if somebody wants to have them."""
    if not any(map(os.environ.get, ENDPOINTS)):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("Traces need more packages: pip install 'fourbit-chat[traces]'.")
        return
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    meter.watchers.append(partial(_span, provider.get_tracer("fourbit-chat")))


def _span(tracer: Any, reply: Measured) -> None:
    now, seconds = time.time_ns(), time.monotonic() - reply.asked
    span = tracer.start_span("reply", start_time=now - int(1e9 * seconds))
    span.set_attributes(reply.figures())
    span.end(end_time=now)
