"""`python app.py` as a user starts it; the last tests with the real embedded model."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest
from gradio_client import Client

from chat.settings import Settings
from tests.conftest import Serve
from tests.support.crowd import crowd
from tests.support.fakes import ScriptedEngine
from tests.support.ports import free_port

ROOT = Path(__file__).parent.parent
EMBEDDED = ("--model", "embedded")
SENTENCE = re.compile(r"Fourbit Chat: [^\n]+\.\n?")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "app.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_documents_every_setting_with_its_default() -> None:
    shown = " ".join(run("--help").stdout.split())
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')}" in shown
        assert field.description
        assert " ".join(field.description.split()) in shown
    assert "(default: 0.6)" in shown


@pytest.mark.parametrize(
    ("arguments", "environment", "offender"),
    [
        (["--temperature", "hot"], {}, "--temperature"),
        ([], {"GRADIO_SERVER_PORT": "http"}, "GRADIO_SERVER_PORT"),
    ],
)
def test_an_unusable_setting_ends_the_start_with_one_sentence_that_names_it(
    arguments: list[str], environment: dict[str, str], offender: str
) -> None:
    ended = run(*arguments, **environment)
    assert ended.returncode == 1
    assert SENTENCE.fullmatch(ended.stderr)
    assert offender in ended.stderr


def test_who_reads_only_the_first_line_of_a_check_sees_no_traceback(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as nobody:
        ended = subprocess.run(
            [sys.executable, "app.py", "--check", "nowhere.gguf", "--cache-dir", str(tmp_path)],
            cwd=ROOT,
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (1, "")


def test_a_port_in_use_and_an_address_of_elsewhere_are_named_before_a_model_is_loaded() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        in_use = run(GRADIO_SERVER_PORT=port)
    elsewhere = run("--server-name", "203.0.113.1", "--model", "./nowhere")
    for ended in (in_use, elsewhere):
        assert ended.returncode == 1
        assert SENTENCE.fullmatch(ended.stderr)
        assert "cannot be served at" in ended.stderr


@pytest.mark.usefixtures("embedded_model")
@pytest.mark.parametrize(
    ("stop", "loading"),
    [(signal.SIGINT, False), (signal.SIGTERM, True)],
    ids=["imports", "loads the model"],
)
def test_ctrl_c_or_a_container_that_stops_ends_the_start_soon_without_a_traceback(
    stop: signal.Signals, loading: bool
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "app.py", *EMBEDDED, f"--server-port={free_port()}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert "starting" in process.stdout.readline()
    children = children_of(process) if loading else []
    process.send_signal(stop)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert psutil.wait_procs(children, timeout=20)[1] == []


def children_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Wait until it has some."""
    while process.poll() is None:
        if children := psutil.Process(process.pid).children(recursive=True):
            return children
        time.sleep(0.05)
    raise AssertionError("it ended")


def test_an_unknown_flag_is_named() -> None:
    ended = run("--temprature", "1")
    assert ended.returncode == 2
    assert ended.stderr.endswith("unrecognized arguments: --temprature 1\n")


@pytest.mark.slow
def test_a_model_that_cannot_be_had_ends_the_start_with_one_sentence(tmp_path: Path) -> None:
    ended = run("--model", str(tmp_path / "nowhere"), "--cache-dir", str(tmp_path))
    assert ended.returncode == 1
    assert SENTENCE.fullmatch(ended.stderr)
    assert str(tmp_path / "nowhere") in ended.stderr


def test_there_is_a_public_link_only_when_asked_for_on_colab_too(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    tunnels: list[dict[str, object]] = []

    def tunnel(**arguments: object) -> str:
        tunnels.append(arguments)
        return "https://example.gradio.live"

    monkeypatch.setattr("gradio.networking.setup_tunnel", tunnel)
    monkeypatch.setattr("gradio.utils.colab_check", lambda: True)
    monkeypatch.setenv("GRADIO_SHARE", "True")
    serve(ScriptedEngine())
    assert tunnels == []
    serve(ScriptedEngine(), share=True)
    assert len(tunnels) == 1


# With the real embedded model


@contextmanager
def started(*arguments: str, **environment: str) -> Iterator[tuple[str, list[str]]]:
    """Start the app; gives its address and what it printed until it was ready."""
    process = subprocess.Popen(
        [sys.executable, "-u", "app.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    printed: list[str] = []
    try:
        assert process.stdout
        for line in process.stdout:
            printed.append(line)
            if address := re.search(r"Running on local URL: +(http://127\.0\.0\.1:\d+)", line):
                yield address[1], printed
                break
        else:
            pytest.fail("it did not start:\n" + "".join(printed))
    finally:
        process.terminate()
        process.wait(timeout=30)
        if process.stdout:
            process.stdout.close()


@pytest.fixture(scope="module")
def app(embedded_model: Path) -> Iterator[str]:
    """The app with the embedded model."""
    with started(*EMBEDDED) as (address, _):
        yield address


def ask(client: Client, message: str) -> tuple[str, str]:
    return client.predict(
        message,
        system_prompt="You are a helpful assistant.",
        max_new_tokens=60,
        temperature=0,
        repetition_penalty=1,
        api_name="/chat",
    )


def connect(address: str) -> Client:
    return Client(address, verbose=False, analytics_enabled=False)


def test_the_embedded_model_knows_the_capital_of_france(app: str) -> None:
    reply, status = ask(connect(app), "What is the capital of France?")
    assert "Paris" in reply
    assert re.fullmatch(r"Finished: \d+ tokens, [\d.]+ tokens/s", status)


def test_the_embedded_model_remembers_what_was_said(app: str) -> None:
    client = connect(app)
    ask(client, "What is the capital of France?")
    assert "Berlin" in ask(client, "And of Germany?")[0]


def test_text_of_the_embedded_model_arrives_while_it_is_written(app: str) -> None:
    long = {"min_new_tokens": 100, "max_new_tokens": 100}
    job = connect(app).submit("Count from 1 to 20.", **long, api_name="/chat")
    assert len({reply for reply, _ in job}) > 5


def test_another_page_loads_at_once_while_the_embedded_model_writes(app: str) -> None:
    long = {"min_new_tokens": 2000, "max_new_tokens": 2000}
    job = connect(app).submit("Tell a long story.", **long, api_name="/chat")
    next(iter(job))
    assert httpx.get(app).elapsed.total_seconds() < 2
    assert not job.done()
    job.cancel()


async def test_16_people_by_every_way_each_get_what_they_asked_the_embedded_model_for(
    app: str,
) -> None:
    async with crowd(f"{app}/") as people:
        asking = [
            say("Say it.", regex=f"(person {number}, ){{6}}end", max_new_tokens=60)
            for number, say in enumerate(people)
        ]
        replies = await asyncio.gather(*asking)
    assert replies == [f"person {number}, " * 6 + "end" for number in range(len(people))]


def test_the_second_start_downloads_and_converts_nothing(app: str) -> None:
    nothing = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/nowhere"}
    with started(*EMBEDDED, **nothing) as (address, printed):
        assert not re.search("Fetching|Converting", "".join(printed))
        assert address != app  # the first free port from 7860 on


@pytest.mark.usefixtures("embedded_model")
def test_the_port_answers_from_the_first_line_on_and_all_ends_when_a_container_stops_it() -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "app.py", *EMBEDDED, f"--server-port={free_port()}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    first = process.stdout.readline()
    url = re.search(r"http://127\.0\.0\.1:\d+", first)[0]
    health = httpx.get(f"{url}/health")
    assert (health.status_code, health.json()) == (503, {"status": "loading"})
    assert "Loading the model" in httpx.get(url).text
    statuses = ["loading"]
    with httpx.Client() as client:
        while statuses[-1] == "loading":
            time.sleep(0.05)
            with suppress(httpx.TransportError):  # between the two servers
                statuses.append(client.get(f"{url}/health").json().get("status"))
    assert statuses[-1] == "ready"
    long = {"min_new_tokens": 2000, "max_new_tokens": 2000}
    next(iter(connect(url).submit("Tell a long story.", **long, api_name="/chat")))
    children = children_of(process)
    process.terminate()
    assert process.wait(timeout=20) == 0
    assert psutil.wait_procs(children, timeout=20)[1] == []
    process.stdout.close()


@pytest.mark.parametrize(
    "proxies",
    [
        {"HTTPS_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "socks5://127.0.0.1:9"},
        {"HTTP_PROXY": "http://[::1", "no_proxy": "[::1,*:x"},
    ],
    ids=["dead", "malformed"],
)
def test_it_starts_whatever_proxies_are_set_and_says_nothing_of_them(
    gguf: Path, proxies: dict[str, str]
) -> None:
    model = ("--model", str(gguf), "--cache-dir", str(gguf.parent))
    with started(*model, **proxies) as (address, printed):
        assert "Traceback" not in "".join(printed)
        assert not re.search("rror|roxy", "".join(printed))
        with httpx.Client(trust_env=False) as client:
            assert client.get(f"{address}/health").json() == {"status": "ready"}
