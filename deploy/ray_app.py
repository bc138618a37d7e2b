"""`python -m chat.backend` as replicas of Ray Serve.

    serve run deploy/serve.yaml

Each replica is a process with an engine of its own, which `CHAT_*` variables of its environment
choose, and has as many threads as Ray has given it CPUs. deploy/README.md says what else to set.
"""

import os
from typing import Any

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig, BackpressureConfig, RequestRouterConfig
from starlette.types import ASGIApp

from chat.backend import app as backend
from chat.load import load
from chat.settings import read
from chat.web import logs, traces
from chat.web.ending import end_with

#: How many replies an engine writes at once, and how many may wait at it, or ask how it is.
PARALLEL, BESIDE = 16, 2

OPTIONS: dict[str, Any] = {
    "name": "backend",
    # By the header x-session-id, so that a conversation stays where it has been read.
    "request_router_config": RequestRouterConfig(
        request_router_class="ray.serve.experimental.consistent_hash_router:ConsistentHashRouter"
    ),
    "max_ongoing_requests": PARALLEL + BESIDE,
    "max_queued_requests": 4 * PARALLEL,
    "backpressure_config": BackpressureConfig(status_code=429, retry_after_s=1),
    "autoscaling_config": AutoscalingConfig(
        min_replicas=1,
        max_replicas=4,
        target_ongoing_requests=0.75 * PARALLEL,
        upscale_delay_s=10,
        downscale_delay_s=300,
    ),
    "ray_actor_options": {"num_cpus": 2},
    # Seconds in which a replica that has to go may end its replies.
    "graceful_shutdown_timeout_s": 600,
}


def build() -> ASGIApp:
    """Return what one replica serves, once its model is loaded.

    Raises:
        ChatError: the settings or the model cannot be used.
    """
    # With as many as memory has room for, it might write fewer than Ray sends it.
    os.environ.setdefault("CHAT_PARALLEL", str(PARALLEL))
    cpus = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
    settings = read([f"--threads={max(1, int(cpus))}"])
    logs.begin(settings.log_format)
    chat = load(settings)
    traces.begin(chat.meter)
    end_with(chat.engine)
    return backend.build(chat, settings)


app = serve.deployment(serve.ingress(build)(), **OPTIONS).bind()
