"""Steps in processes of their own: one that fails, dies or hangs does no harm to the others."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import child, runner
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.plan import Step
from benchmarks.gpu.report import FILE, Report

STEPS = [Step(name, "", 0, "one") for name in ("first", "second", "third")]
WELL = 'tell({"figure": 1})\n'


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return Report(tmp_path, {})


def run(
    monkeypatch: pytest.MonkeyPatch, report: Report, *programs: str, seconds: float = 60
) -> dict[str, Any]:
    """Run `STEPS` with these as the processes, each after the one before; return what is kept."""
    waiting = list(programs)

    def start(_: str, job: str, **options: Any) -> "subprocess.Popen[str]":
        head = (
            "import json, os, sys, time\n"
            "def tell(result, last=False):\n"
            "    line = {'result': result, 'seconds': 0.1, 'last': last}\n"
            "    print(json.dumps(line), flush=True)\n"
            "job = json.loads(sys.argv[1])\n"
        )
        command = [sys.executable, "-c", head + waiting.pop(0), job]
        return subprocess.Popen(command, text=True, **options)

    monkeypatch.setattr(runner.child, "start", start)
    job = {"device": "cpu", "scratch": "", "model": None}
    runner.run(STEPS, report, job, time.monotonic() + seconds)
    assert not waiting
    kept: dict[str, Any] = json.loads((report.folder / FILE).read_text())
    return kept


def test_steps_share_a_process_and_each_is_kept(
    monkeypatch: pytest.MonkeyPatch, report: Report
) -> None:
    kept = run(monkeypatch, report, 3 * WELL)
    assert kept["steps"] == {step.name: {"figure": 1} for step in STEPS}
    assert kept["summary"]["errors"] == kept["summary"]["skipped"] == []


def test_a_process_that_dies_is_the_error_of_its_step_alone(
    monkeypatch: pytest.MonkeyPatch, report: Report
) -> None:
    dying = WELL + "os.kill(os.getpid(), 9)"
    kept = run(monkeypatch, report, dying, 'tell({"next": job["steps"]})')
    assert kept["steps"] == {
        "first": {"figure": 1},
        "second": {"error": "RuntimeError: its process ended with -9"},
        "third": {"next": ["third"]},
    }
    assert kept["summary"]["errors"] == ["second"]


def test_a_process_that_has_lost_its_gpu_is_followed_by_another(
    monkeypatch: pytest.MonkeyPatch, report: Report
) -> None:
    losing = 'tell({"error": "AcceleratorError: an illegal memory access"}, last=True)\n'
    kept = run(monkeypatch, report, losing, WELL + 'tell({"known": [*job["found"]]})')
    assert kept["steps"]["third"] == {"known": ["first"]}
    assert kept["summary"]["errors"] == ["first"]


def test_a_step_that_hangs_is_ended_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, report: Report
) -> None:
    monkeypatch.setattr(runner, "MORE", 3)
    kept = run(monkeypatch, report, "time.sleep(600)", 2 * WELL)
    assert kept["steps"]["first"]["error"].startswith("TimeoutError: ")
    assert kept["steps"]["third"] == {"figure": 1}


def test_what_does_not_fit_the_budget_is_named(
    monkeypatch: pytest.MonkeyPatch, report: Report
) -> None:
    kept = run(monkeypatch, report, WELL + "time.sleep(600)", seconds=5)
    assert kept["steps"]["first"] == {"figure": 1}
    assert kept["summary"]["errors"] == ["second"]
    assert kept["summary"]["skipped"] == ["third"]


def test_wrong_replies_are_in_the_summary(report: Report) -> None:
    report.add("first", {"right": True})
    assert report.found()["summary"]["right"]
    report.add("second", {"right": False})
    assert report.found()["summary"]["wrong"] == ["second"]
    assert not report.found()["summary"]["right"]


def test_an_error_is_one_line_with_its_type(tmp_path: Path) -> None:
    bench = Bench("cpu", tmp_path, None, {})
    step = Step("bad", "bench.figure", 0, "one", ("two\nlines",))
    assert child.attempt(step, bench, 9)["error"].startswith("TypeError: ")
    assert child.line(ValueError("one\n  two " + "x" * 999)).startswith("ValueError: one two xxx")
    assert len(child.line(ValueError("x" * 999))) == child.LONGEST


def test_a_step_without_the_seconds_that_it_needs_on_a_gpu_says_so(tmp_path: Path) -> None:
    bench = Bench("cpu", tmp_path, None, {})
    bench.cuda = True
    step = Step("long", "device.machine", 40, "one")
    assert child.attempt(step, bench, 12.3) == {"skipped": "12 s left, 40 needed"}
