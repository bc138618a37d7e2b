"""Requests to what no description has: Gradio's addresses, the page's, and the backend."""

from random import Random
from typing import Any
from urllib.parse import quote

from benchmarks.reliability.http.described import CANARY, JUNK, NAMES, spoilt

PATHS = (
    *(
        "/",
        "/config",
        "/health",
        "/live",
        "/metrics",
        "/manifest.json",
        "/robots.txt",
        "/theme.css",
    ),
    *(
        "/login",
        "/logout",
        "/favicon.ico",
        "/static/x",
        "/assets/../app.py",
        "/v1",
        "/v1/",
        "/v2/x",
    ),
    *("/gradio_api/info", "/gradio_api/app_id", "/gradio_api/startup-events", "/gradio_api/reset"),
    *("/gradio_api/info?all_endpoints=x", "/gradio_api/queue/data", "/gradio_api/queue/join"),
    *("/gradio_api/upload", "/gradio_api/file=/etc/passwd", "/gradio_api/component_server", "/mcp"),
    *("/gradio_api/cancel", "/gradio_api/queue/data?session_hash=x", "/tokenize", "/detokenize"),
    *("/assets/%2e%2e/%2e%2e/app.py", "/static/%00", "/static/" + "a" * 5000, "/assets/é", "/%ff"),
)


class Gradio:
    """Makes requests to a page; `config` is what it says of itself."""

    def __init__(self, config: dict[str, Any], random: Random) -> None:
        self._random = random
        self._events = config["dependencies"]
        self._names = [event["api_name"] for event in self._events if event["api_name"]]

    def __call__(self) -> bytes:
        """Return one."""
        random = self._random
        event = random.choice(self._events)
        data = [self._value() for _ in event["inputs"]]
        if random.random() < 0.2:
            data = data[: random.randrange(len(data) + 1)] + data[: random.randrange(2)]
        name = random.choice(self._names)
        body: Any = {"data": data, "session_hash": random.choice(("x", CANARY, "y" * 300))}
        match random.randrange(7):
            case 0:
                return spoilt(random, "POST", f"/gradio_api/run/{quote(str(name))}", body)
            case 1:
                return spoilt(random, "POST", f"/gradio_api/call/{quote(str(name))}", body)
            case 2:
                path = f"/gradio_api/call/{quote(str(name))}/{quote(random.choice(NAMES))}"
                return spoilt(random, "GET", path, None)
            case 3:
                form = {"username": CANARY, "password": CANARY}
                return spoilt(random, "POST", "/login", form)
            case 4:
                return spoilt(random, random.choice(("GET", "POST")), random.choice(PATHS), None)
        body |= {"fn_index": event["id"], "trigger_id": None, "event_data": random.choice(JUNK)}
        door = random.choice(("run/predict", "queue/join", "cancel", "reset"))
        if door in ("cancel", "reset"):
            body |= {"event_id": random.choice(NAMES)}
        return spoilt(random, "POST", f"/gradio_api/{door}", body)

    def _value(self) -> Any:
        said = {"role": "user", "content": CANARY, "metadata": None, "options": None}
        often: tuple[Any, ...] = (CANARY, [], [said], "Hi.", 0.5, 4, None)
        return self._random.choice(often if self._random.random() < 0.7 else JUNK)


class Backend:
    """Makes requests to `python -m chat.backend`."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def __call__(self) -> bytes:
        """Return one."""
        random = self._random
        path = random.choice(("/v1/completions",) * 9 + ("/v1/models", "/health", "/live", "/"))
        made = {
            "prompt": [random.randrange(300) for _ in range(random.randrange(1, 20))],
            "max_tokens": random.randrange(1, 6),
            "stream": random.random() < 0.5,
            "temperature": random.choice((0, 0.7, 2)),
            "stop_token_ids": random.choice(([], [2], [10**12])),
            "return_token_ids": True,
        }
        if random.random() < 0.3:
            ties = {"choice": ["a"]}, {"regex": "[a-z]+"}, {"json": "{}"}, {"json": CANARY}
            made["structured_outputs"] = random.choice(ties)
        return spoilt(random, "POST" if "completions" in path else "GET", path, made)
