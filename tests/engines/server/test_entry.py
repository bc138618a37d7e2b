"""From the settings to a chat with a model that is elsewhere."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from chat.check import check
from chat.core.conversation import rebuild
from chat.core.sampling import OPTIONAL, Sampling
from chat.engines.registry import ENGINES
from chat.engines.server import health, probe
from chat.engines.server.connection import Connection
from chat.engines.server.engine import ServerEngine
from chat.errors import EngineError, ModelError, SettingsError
from chat.load import load, load_loop
from chat.settings import Settings, read
from tests.engines.server.conftest import Following
from tests.support import waiting
from tests.support.batches import collect
from tests.support.model_server import ModelServer, Running, silent
from tests.support.tiny import chatml_tokenizer, llama3_tokenizer

Start = Callable[..., Settings]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server, and give the settings for it; `facts` are what it says of its model."""
    all_running: list[Running] = []
    folder = tmp_path / "owner" / "tiny"
    chatml_tokenizer().save_pretrained(folder)

    def run(facts: dict[str, Any] | None = None, tokenizer: Any = None, **chosen: Any) -> Settings:
        server = ModelServer(Following(), tokenizer or chatml_tokenizer(), **(facts or {}))
        all_running.append(Running(server.app))
        values = {"model": str(folder), "engine": "server", "server_url": all_running[-1].url}
        return Settings(**{**values, "cache_dir": tmp_path, **chosen})

    yield run
    for running in all_running:
        running.stop()


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("http://host:8000", "http://host:8000"),
        ("http://host:8000/v1/", "http://host:8000"),
        ("https://host/some/path/v1", "https://host/some/path"),
        (" http://[::1]:8000/ ", "http://[::1]:8000"),
    ],
)
def test_an_address_with_and_without_v1_is_the_same(written: str, address: str) -> None:
    assert read(["--server-url", written]).server_url == address


@pytest.mark.parametrize(
    "address",
    [
        *("host:8000", "ftp://host", "http://", "http:///v1", "http://host:99999", "http://host:0"),
        *(
            "http://a..b",
            f"http://{'a' * 64}",
            "http://a b",
            "http://host/?a=1",
            "http://host/#a",
            "http://[::1",
            "",
            "\\\\host",
        ),
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(SettingsError, match=r"--server-url .* write an address such as"):
        read(["--server-url", address])


def test_a_password_has_no_place_in_an_address_and_is_not_told() -> None:
    with pytest.raises(SettingsError, match="leave out the user and the password") as caught:
        read(["--server-url", "http://me:hush@host"])
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "a b", "ä", "a\n"])
def test_a_key_that_no_header_takes_is_refused(key: str) -> None:
    with pytest.raises(SettingsError, match="--server-key"):
        read(["--server-key", key])


def test_a_key_is_not_shown() -> None:
    assert "hush" not in repr(read(["--server-key", "hush"]))


async def test_a_model_elsewhere_chats_here(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = {"generation": {"top_k": 3}, "stop_token_ids": [77]}
    settings = start(facts, context_window=300)
    chat = load(settings)
    assert isinstance(chat.engine, ServerEngine)
    assert f"Fourbit Chat at {settings.server_url} runs the model" in capsys.readouterr().out
    assert (chat.name, chat.format.name) == ("tiny", "chatml")
    assert (chat.engine.window, chat.engine.parallel) == (300, 64)
    assert chat.engine.supports == set(OPTIONAL)
    assert chat.engine.stop_ids >= {77, chatml_tokenizer().eos_token_id}
    assert chat.suited == {"top_k": 3}
    assert chat.engine.state == "ready"
    sampling = Sampling(max_new_tokens=10)
    async with aclosing(chat.reply(rebuild([], "hello", ""), sampling)) as updates:
        last = [update async for update in updates][-1]
    assert last.state in ("finished", "length")
    assert "<|im_start|>user\nhello<|im_end|>" in last.prompt
    chat.engine.close()


def test_its_own_window_and_the_number_that_was_set_hold(start: Start) -> None:
    engine = load(start({"max_model_len": 200}, parallel=3)).engine
    assert (engine.window, engine.parallel) == (200, 3)
    engine.close()


def test_another_tokenizer_is_refused(start: Start) -> None:
    with pytest.raises(ModelError, match="name the model that it runs with --model"):
        load(start(tokenizer=llama3_tokenizer()))


@pytest.mark.parametrize("root", ["/models/tiny", "tiny", ""])
def test_auto_needs_a_server_that_names_its_model(start: Start, root: str) -> None:
    with pytest.raises(ModelError, match="name it with --model, for its tokenizer"):
        load(start({"root": root}, model="auto"))


@pytest.mark.parametrize(
    "beside", [{"adapter": "a/b"}, {"assistant_model": "a/b"}, {"prompt_lookup": 3}]
)
def test_what_a_server_would_have_to_load_is_refused(start: Start, beside: dict[str, Any]) -> None:
    flag = next(iter(beside)).replace("_", "-")
    with pytest.raises(ModelError, match=f"is set there; leave out --{flag}"):
        load(start(**beside))


def test_the_engine_and_its_address_go_together(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="needs --server-url"):
        load(Settings(engine="server", cache_dir=tmp_path))
    with pytest.raises(ModelError, match="is for --engine server"):
        load(Settings(server_url="http://host", cache_dir=tmp_path))
    assert ENGINES["server"].hardware == (), "auto never takes it"


def test_the_loop_is_not_shown_from_elsewhere(start: Start, gguf: Path) -> None:
    with pytest.raises(ModelError, match="leave out --engine server"):
        load_loop(start(model=str(gguf)), lambda *_: None)


def test_check_says_what_runs_there(
    start: Start, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "PATIENCE", 0)
    settings = start({"max_model_len": 200})
    chosen = settings.model_copy(update={"check": settings.model})
    assert check(chosen) == 0
    out = capsys.readouterr().out
    for line in (
        *("model           tiny", "engine          The server", "runs            yes"),
        *("weights         on the server, Fourbit Chat", "window          200 tokens"),
    ):
        assert line in out.splitlines()
    assert "memory" not in out
    assert check(chosen.model_copy(update={"server_url": "http://127.0.0.1:1"})) == 1
    assert "cannot be reached" in capsys.readouterr().out


PROGRAM = """
import sys
import time
import time
from chat.load import load
from chat.settings import read
chat = load(read(sys.argv[1:]))
chat.engine.close()
sys.exit(str({"torch", "openvino", "openvino_genai", "bitsandbytes"} & sys.modules.keys() or ""))
"""


def test_nothing_that_computes_is_imported(start: Start) -> None:
    settings = start()
    flags = ["--engine", "server", "--server-url", str(settings.server_url)]
    flags += ["--model", settings.model, "--cache-dir", str(settings.cache_dir)]
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *flags], capture_output=True, text=True, check=False
    )
    assert ended.stderr.strip() == ""
    assert "runs the model" in ended.stdout


@pytest.mark.parametrize(("status", "state"), [(429, "ready"), (503, "loading")])
def test_one_with_a_full_line_is_there(
    monkeypatch: pytest.MonkeyPatch, status: int, state: str
) -> None:
    monkeypatch.setattr(health, "EVERY", 0.01)
    monkeypatch.setattr(health, "DOUBTED", 0.01)
    monkeypatch.setattr(health, "HOLDS", 0.3)
    connection = Connection("http://127.0.0.1:1")
    asked = 0

    def ask(*_: Any) -> tuple[int, None]:
        nonlocal asked
        asked += 1
        return status, None

    monkeypatch.setattr(connection, "ask", ask)
    found = probe.Served("vllm", "m", "m", 500, {}, frozenset(), frozenset(), {})
    watched = health.Health(probe.Same(connection, found, chatml_tokenizer()))
    began = time.monotonic()
    while time.monotonic() < began + 0.4 or asked < 3:
        time.sleep(0.01)
    assert watched.state == state
    watched.close()


def test_health_follows_the_server_and_the_log_says_so_once(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(health, "EVERY", 0.02)
    monkeypatch.setattr(health, "HOLDS", 0.5)
    engine = load(start()).engine
    for _ in range(100):
        assert engine.state == "ready"
        time.sleep(0.01)
    url = engine._connection.url
    monkeypatch.setattr(engine._connection, "url", "http://127.0.0.1:1")
    waiting.until(lambda: engine.state != "ready")
    assert engine.state == "loading"
    assert caplog.text.count("cannot be reached") == 1
    monkeypatch.setattr(engine._connection, "url", url)
    waiting.until(lambda: engine.state == "ready")
    assert caplog.text.count("answers again") == 1
    engine.close()


class Endless(Following):
    """Writes slowly, and on and on; `meanwhile` is called after its first token."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self._meanwhile = meanwhile

    async def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int] = (),
        session: str = "",
    ) -> AsyncGenerator[list[int]]:
        yield [5]
        self._meanwhile()
        while True:
            yield [5]
            await asyncio.sleep(0.01)


@pytest.fixture
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "EVERY", 0.02)
    monkeypatch.setattr(health, "DOUBTED", 0.02)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("looking_often")
async def test_another_model_behind_the_same_address_gets_no_tokens_of_ours(
    tmp_path: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """Even where it has the same name; and when the right one is back, all goes on."""
    before, after = (
        ModelServer(Following(), one()) for one in (chatml_tokenizer, llama3_tokenizer)
    )
    running = Running(before.app)
    url = running.url
    engine = load(start(server_url=url)).engine
    for server, state in ((after, "loading"), (before, "ready")):
        running.stop()
        running = Running(server.app, int(url.rpartition(":")[2]))
        await until(lambda state=state: engine.state == state)  # type: ignore[misc]
        asked = collect(engine.generate([3, 4], Sampling(max_new_tokens=2)))
        if state == "loading":
            with pytest.raises(EngineError, match="runs another model than when"):
                await asked
            assert all(isinstance(one["prompt"], str) for one in server.asked)
        else:
            assert len(await asked) == 2
    assert caplog.text.count("another model than at the start") == 1
    engine.close()
    running.stop()


@pytest.mark.usefixtures("looking_often")
async def test_what_another_model_writes_in_mid_reply_is_not_gone_on_with(start: Start) -> None:
    def change() -> None:
        server.tokenizer = llama3_tokenizer()
        server.facts["max_model_len"] = 99

    server = ModelServer(Following(), chatml_tokenizer())
    running = Running(server.app)
    engine = load(start(server_url=running.url)).engine
    server.engine = Endless(change)
    with pytest.raises(EngineError, match="runs another model than when"):
        await collect(engine.generate([3, 4], Sampling(max_new_tokens=4000)))
    engine.close()
    running.stop()


@pytest.mark.parametrize("status", [200, 401, 404, 429, 500, 503])
@pytest.mark.usefixtures("looking_often")
async def test_who_says_nothing_of_a_model_is_not_taken_for_another(
    start: Start, status: int
) -> None:
    """A proxy, a key that has changed, a full line."""
    server = ModelServer(Following(), chatml_tokenizer())
    looks = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal looks
        if scope["type"] == "http" and refusing:
            looks += 1
            await PlainTextResponse("[" * 100_000, status)(scope, receive, send)
        else:
            await server.app(scope, receive, send)

    refusing = False
    running = Running(app)
    engine = load(start(server_url=running.url)).engine
    refusing = True
    await until(lambda: looks > 3)
    refusing = False
    assert len(await collect(engine.generate([3, 4], Sampling(max_new_tokens=2)))) == 2
    assert engine.state == "ready"
    engine.close()
    running.stop()


async def test_our_own_backend_may_be_silent_for_as_long_as_the_watchdog_says(
    start: Start,
) -> None:
    server = ModelServer(Following(), chatml_tokenizer())
    running = Running(server.app)
    engine = load(start(server_url=running.url, watchdog=1)).engine
    server.next = [lambda events: silent()]
    async with asyncio.timeout(20):
        assert len(await collect(engine.generate([3, 4], Sampling(max_new_tokens=2)))) == 2
    engine.close()
    running.stop()
