"""`python -m benchmarks.gpu`: what it prints and keeps, and what it does without."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import __main__ as command

ROOT = Path(__file__).parents[3]
#: What a bare machine with a GPU need not have.
ABSENT = (
    "gradio openvino openvino_genai openvino_tokenizers gguf peft starlette uvicorn platformdirs "
    "prompt_toolkit cryptography cachetools"
)


def run(out: Path, *flags: str, **variables: str) -> tuple[int, dict[str, Any]]:
    """Run the command; return its status and the object of its last line."""
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--out", str(out), *flags],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.stdout, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return ended.returncode, found


def test_on_a_bare_machine_the_server_is_skipped_by_name_and_the_rest_runs(tmp_path: Path) -> None:
    absent = f"import sys\nsys.modules.update(dict.fromkeys({ABSENT.split()!r}))"
    Path(tmp_path, "sitecustomize.py").write_text(absent)
    only = "bandwidth,right_float32,http"
    status, found = run(tmp_path, "--device", "cpu", "--only", only, PYTHONPATH=str(tmp_path))
    assert [*found["steps"]] == only.split(",")
    assert found["steps"]["bandwidth"]["gb_per_s"] > 0
    assert found["steps"]["right_float32"]["right"]
    assert found["steps"]["http"]["skipped"].startswith("gradio is not installed")
    assert (status, found["summary"]["skipped"]) == (0, ["http"])
    kept = json.loads(Path(tmp_path, "gpu.json").read_text())
    assert kept["steps"] == found["steps"]


def test_without_a_gpu_each_step_says_so(tmp_path: Path) -> None:
    status, found = run(tmp_path, "--only", "machine,bandwidth", CUDA_VISIBLE_DEVICES="")
    assert status == 1
    assert found["summary"]["errors"] == ["machine", "bandwidth"]
    assert "There is no CUDA GPU" in found["steps"]["machine"]["error"]


def test_steps_are_chosen_by_name_and_keep_their_order() -> None:
    chosen = command.read(["--only", "load,machine", "--budget", "60"])
    assert [step.name for step in chosen.steps] == ["machine", "load"]
    assert chosen.budget == 60
    assert len(command.read([]).steps) > 10


@pytest.mark.parametrize(
    ("flags", "said"),
    [(["--only", "loud"], "There is no step loud"), (["--model", "no/such"], "no such model")],
)
def test_what_cannot_be_run_is_said(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.read(flags)
    assert said in capsys.readouterr().err


def test_what_it_needs_and_is_not_there_is_named_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "NEEDS", ("torch", "no_such_package"))
    with pytest.raises(SystemExit, match="2"):
        command.read([])
    assert "There is no no_such_package here" in capsys.readouterr().err
