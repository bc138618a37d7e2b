"""The benchmarks: every figure is there, and what they start ends."""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from tokenizers import Tokenizer

from benchmarks import __main__ as command
from benchmarks import figures, load, machine, processes, run, table
from benchmarks.scenarios import QUICK, Scenarios, Size
from benchmarks.server import serving
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine
from tests.support.ports import free_port
from tests.support.tiny import chatml_tokenizer

ROOT = Path(__file__).parent.parent.parent


def test_the_long_message_has_the_tokens_that_it_should() -> None:
    tokenizer: Tokenizer = chatml_tokenizer().backend_tokenizer
    scenarios = Scenarios(Size(long=2000), tokenizer)
    for number in (1, 2):
        length = len(tokenizer.encode(scenarios.long_text(number)).ids)
        assert 2000 <= length < 2100
    assert scenarios.long_text(1)[:80] != scenarios.long_text(2)[:80]
    assert scenarios.long_text(1) == scenarios.long_text(1)


@pytest.mark.slow
@pytest.mark.parametrize("door", load.DOORS)
def test_every_measurement_gives_the_figures_that_the_table_shows(door: str, serve: Serve) -> None:
    url = serve(ScriptedEngine(lambda _: "word " * 40, pace=0.001))
    size = Size(users=(1, 2), tokens=100, turns=2, turn_tokens=20, long=200)
    found: figures.Figures = {}
    for measure in Scenarios(size, chatml_tokenizer().backend_tokenizer).each():
        found |= measure(url, os.getpid(), door)
    by_run = ("start", "idle", "peak")
    assert processes.listening(urlsplit(url).port or 0) == os.getpid()
    shown = [name for name in table.ONE.values() if not name.startswith(by_run)]
    shown += [f"users_{users}.{name}" for users in (1, 2) for name in table.USERS.values()]
    assert [name for name in shown if found.get(name) is None] == []
    assert found["users_2.tokens"] > found["users_1.tokens"] > 20  # type: ignore[operator]


# Processes that are started.


def test_a_server_that_ends_before_it_serves_is_an_error_that_says_what_it_printed() -> None:
    with (
        pytest.raises(RuntimeError, match="Out of paper"),
        serving(["-c", "print('Out of paper')"], [], None),
    ):
        pytest.fail("there is nothing to measure")


@pytest.mark.slow
def test_a_process_tree_is_measured_and_ended_as_a_whole() -> None:
    child = "import sys; data = bytearray(50_000_000); print('ready', flush=True); sys.stdin.read()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        members = processes.tree(process.pid)
        assert len(members) == 2
        assert processes.pss(process.pid) > 50
        assert processes.peak_rss(process.pid) > 50
        assert processes.cpu_seconds(process.pid) > 0
        processes.end(process.pid, patience=0.5)
    assert not any(psutil.pid_exists(member.pid) for member in members)
    assert processes.cpu_seconds(process.pid) == 0


# The command.


def test_flags_after_the_dashes_are_the_apps() -> None:
    arguments = ["--users", "1,8", "--tokens", "50", "--repeat", "3", "--cache-dir", "/cache"]
    plan, repeat = command.read([*arguments, "--baseline", "--", "--model", "embedded"])
    assert plan.size.users == (1, 8)
    assert plan.size.tokens == 50
    assert plan.flags == ["--model", "embedded", "--cache-dir", "/cache"]
    assert (plan.baseline, plan.bare, repeat) == (True, True, 3)
    assert command.read(["--quick"])[0].size == QUICK


@pytest.mark.parametrize("url", ["http://one:80", "http://one:80/", "http://one:80/v1"])
def test_another_server_may_be_named_as_its_clients_name_it(url: str) -> None:
    assert command.read(["--against", url])[0].against == "http://one:80"


def test_results_are_medians_with_ratios_and_say_where_they_were_measured() -> None:
    runs = [
        {
            "alone": {"load_s": time},
            "app": {"start_page_s": time},
            "baseline": {"start_page_s": 2 * time},
        }
        for time in (1.0, 3.0, 2.0)
    ]
    found = command.result(machine.describe(), run.Plan(QUICK, ["--model", "x"]), runs)
    assert found["machine"].keys() >= {"date", "cpu", "cores", "memory", "python", "torch"}
    assert found["settings"]["flags"] == ["--model", "x"]
    assert found["settings"]["repeat"] == 3
    assert found["figures"]["app"] == {"start_page_s": 2.0}
    assert found["times_better"] == {"baseline": {"start_page_s": 2.0}}
    shown = table.report(found["figures"], found["times_better"], (1,))
    row = next(line for line in shown.splitlines() if "start to page" in line)
    assert [cell.strip() for cell in row.strip("|").split("|")][1:] == ["2", "4", "2"]


def test_what_is_measured_against_another_server_is_asked_as_that_one_is() -> None:
    slow, quick = ({"users_1.total_tokens_per_s": rate} for rate in (50.0, 100.0))
    runs: list[dict[str, figures.Figures]] = [
        {"alone": {}, "app": {**slow}, "api": {**quick}, "against": {**slow}}
    ]
    found = command.result({}, run.Plan(QUICK, [], against="http://x"), runs)
    assert found["times_better"] == {"against": {"users_1.total_tokens_per_s": 2.0}}
    shown = table.report(found["figures"], found["times_better"], (1,))
    rates = {
        row.split("|")[2].strip(): row.split("|")[3].strip() for row in shown.splitlines()[-4:]
    }
    assert rates == {
        "the page": "50",
        "our API": "100",
        "their API": "50",
        "our API / their API": "2",
    }


@pytest.mark.parametrize(("percent", "told"), [(5.0, False), (150.0, True)])
def test_a_result_says_that_the_machine_was_not_quiet(percent: float, told: bool) -> None:
    app: figures.Figures = {"users_1.other_cpu_percent": None, "users_8.other_cpu_percent": percent}
    shown = table.report({"alone": {}, "app": app}, {}, (1, 8))
    assert ("used up to 150 % of a core" in shown) == told


@pytest.mark.usefixtures("embedded_model")
def test_the_quick_benchmark_of_the_embedded_model_gives_every_figure() -> None:
    quick = [sys.executable, "-m", "benchmarks", "--quick"]
    ended = subprocess.run(
        [*quick, "--port", str(free_port()), "--", "--model", "embedded"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    *shown, last = ended.stdout.splitlines()
    found = json.loads(last)["figures"]
    wanted = {
        "alone": [*table.ALONE.values(), *(f"users_1.{name}" for name in table.USERS.values())],
        "app": [
            *table.ONE.values(),
            *(f"users_{users}.{name}" for users in (1, 2) for name in table.USERS.values()),
        ],
    }
    may_lack = {"kv_cache_mb", "users_1.client_cpu_ms_per_token", "users_1.other_cpu_percent"}
    for part, names in wanted.items():
        missing = {name for name in names if found[part].get(name) is None}
        assert missing <= (may_lack if part == "alone" else set())
    app = found["app"]
    assert app["users_2.tokens"] > app["users_1.tokens"] > 10
    assert app["start_first_token_s"] > app["start_page_s"] > 1
    text = "\n".join(shown)
    assert all(title in text for title in (*table.ONE, *table.USERS, *table.ALONE))
