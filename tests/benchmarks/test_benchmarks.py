"""The benchmarks: every figure is there, and what they start ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tokenizers import Tokenizer

from benchmarks import __main__ as command
from benchmarks import alone, api, drawn, figures, load, machine, processes, run, table
from benchmarks.client import Turn
from benchmarks.load import Door, Job, Load
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


@pytest.fixture(name="jobs")
def _jobs(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Answer nothing, and return what was asked; the reply to each message takes longer."""
    jobs: list[Job] = []

    def start(job: Job) -> Load:
        jobs.append(job)
        ends = (range(1, 1 + len(person.messages)) for person in job.people)
        turns = [[Turn(0.0, [(end, 1), (end + 1, 2)], "a b") for end in one] for one in ends]
        return Load(turns, 1.0, 1.0, 1.0)

    monkeypatch.setattr(load, "start", start)
    return jobs


def test_no_server_has_read_a_message_before(jobs: list[Job]) -> None:
    size = Size(long=20)
    for _ in range(2):
        scenarios = Scenarios(size, chatml_tokenizer().backend_tokenizer)
        for measure in scenarios.each():
            for kind in load.DOORS:
                measure(Door("", 0, kind))
    asked = [person.messages[0].split(".")[0] for job in jobs for person in job.people]
    assert len({*asked}) == len(asked)
    assert all(mark.isdecimal() and len(mark) == 9 for mark in asked)


def test_two_servers_are_asked_the_same(jobs: list[Job]) -> None:
    scenarios = Scenarios(QUICK, chatml_tokenizer().backend_tokenizer)
    for url in ("one", "other"):
        scenarios.joining(Door(url, 0, "api"))
    assert jobs[0].people == jobs[1].people


@pytest.mark.parametrize(
    ("turns", "early", "late"), [(1, 1000, 1000), (3, 2500, 2500), (11, 4000, 9000)]
)
@pytest.mark.usefixtures("jobs")
def test_early_and_late_turns_leave_the_first_out(turns: int, early: int, late: int) -> None:
    scenarios = Scenarios(Size(turns=turns), chatml_tokenizer().backend_tokenizer)
    found = scenarios.growing(Door("", 0))
    assert found["first_token_first_turn_ms"] == 1000
    assert found["first_token_early_turns_ms"] == early
    assert found["first_token_late_turns_ms"] == late


@pytest.mark.usefixtures("jobs")
def test_of_a_server_elsewhere_no_time_and_no_memory_is_told() -> None:
    door = Door("http://192.0.2.1:80", 0)
    found = Scenarios(QUICK, chatml_tokenizer().backend_tokenizer).users(1, door)
    assert found["users_1.server_cpu_ms_per_token"] is None
    assert found["users_1.other_cpu_percent"] is None
    assert processes.listening(door.url) == 0
    assert run.memory(door, {}) == {"peak_rss_mb": None, "peak_pss_mb": None}


def test_the_engine_alone_is_asked_as_the_page_is() -> None:
    system, sampling = alone.as_the_page(drawn.controls(7, 3))
    assert system
    assert (sampling.max_new_tokens, sampling.min_new_tokens, sampling.seed) == (7, 7, 3)
    assert (sampling.temperature, sampling.repetition_penalty) == (0.7, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("door", load.DOORS)
def test_every_measurement_gives_the_figures_that_the_table_shows(door: str, serve: Serve) -> None:
    url = serve(ScriptedEngine(lambda _: "word " * 40, pace=0.001))
    size = Size(users=(1, 2), tokens=100, turns=2, turn_tokens=20, long=200)
    found: figures.Figures = {}
    for measure in Scenarios(size, chatml_tokenizer().backend_tokenizer).each():
        found |= measure(Door(url if door == "page" else api.base(url), os.getpid(), door))
    by_run = ("start", "idle", "peak")
    assert processes.listening(url) == os.getpid()
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


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://one:80", "http://one:80/v1"),
        ("http://one:80/", "http://one:80/v1"),
        ("http://one:80/v1/", "http://one:80/v1"),
        ("one:80", "http://one:80/v1"),
        ("https://one/v1beta/openai", "https://one/v1beta/openai"),
    ],
)
def test_another_server_may_be_named_as_its_clients_name_it(url: str, base: str) -> None:
    plan, _ = command.read(["--against", url, "--against-model", "m"])
    assert (plan.against, plan.against_model) == (base, "m")


@pytest.mark.parametrize("url", ["ftp://one", "http://", "http://one:many"])
def test_what_is_no_address_is_told(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.read(["--against", url])
    assert "argument --against: " in capsys.readouterr().err


def test_another_server_that_is_not_there_is_told_before_all_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "prepare", lambda _: pytest.fail("that takes minutes"))
    with pytest.raises(SystemExit, match="Connect call failed"):
        command.main(["--against", f"127.0.0.1:{free_port()}"])


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
