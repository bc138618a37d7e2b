"""The Dockerfile, as far as it can be tested without an engine: no test here builds the image."""

import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import ExitStack
from fnmatch import fnmatch
from pathlib import Path

import pytest

from chat.web.lobby import lobby
from deploy.lock import IMAGE
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine
from tests.web.test_lobby import listen

ROOT = Path(__file__).parent.parent


def instructions() -> list[tuple[str, str]]:
    """Return each instruction of the Dockerfile and what it says, on one line."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", "").splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def said(instruction: str) -> list[str]:
    return [text for name, text in instructions() if name == instruction]


def environment() -> dict[str, str]:
    return dict(one.split("=", 1) for text in said("ENV") for one in shlex.split(text))


def health_check() -> list[str]:
    return json.loads(said("HEALTHCHECK")[0].partition("CMD ")[2])


def test_it_runs_as_a_user_who_may_write_to_the_volumes_alone() -> None:
    names = [name for name, _ in instructions()]
    user = said("USER")[-1]
    assert user not in ("root", "0")
    made = next(text for text in said("RUN") if "useradd" in text)
    assert re.search(rf"useradd .*--uid 1000 {user}\b", made)
    volumes = json.loads(said("VOLUME")[0])
    assert made.endswith(f"--owner {user} /app/.gradio {' '.join(volumes)}")
    assert names.index("VOLUME") > names.index("RUN")  # what is made after it would be lost


def test_models_conversions_and_keys_are_kept_in_the_volumes() -> None:
    volumes = json.loads(said("VOLUME")[0])
    for name in ("HF_HOME", "CHAT_CACHE_DIR", "CHAT_DATA_DIR"):
        assert environment()[name].startswith(tuple(volumes))


def test_torch_is_for_cpus_unless_a_build_argument_says_otherwise() -> None:
    assert "TORCH_BACKEND=cpu" in said("ARG")
    install = next(text for text in said("RUN") if "requirements.txt" in text)
    assert "--torch-backend ${TORCH_BACKEND}" in install


def test_what_is_locked_is_installed_by_its_hashes_and_then_nothing_but_torch() -> None:
    install = next(text for text in said("RUN") if "requirements.txt" in text)
    locked, chosen, torch = re.findall(r"(?:uv )?pip install [^&;]*", install)
    for step in (locked, chosen):
        assert "--require-hashes" in step.split()
        assert step.strip().endswith(".txt")
        assert "--no-deps" in step.split()
    assert "requirements.txt" in torch
    assert "requirements-lock.txt" in locked
    assert (ROOT / "requirements-lock-cu130.txt").exists()
    assert "requirements-lock-${TORCH_BACKEND}.txt" in chosen
    assert re.findall(r"^PYTHON=python:(\d+\.\d+)-", said("ARG")[0])[0] in IMAGE


@pytest.mark.parametrize(
    ("backend", "alone", "steps"), [("cpu", True, 2), ("cu130", True, 3), ("cu126", False, 2)]
)
def test_a_torch_whose_libraries_are_not_locked_brings_them_along(
    backend: str, alone: bool, steps: int, tmp_path: Path
) -> None:
    for program in ("pip", "uv"):
        (tmp_path / program).write_text('#!/bin/sh\necho "$0 $@"\n')
        (tmp_path / program).chmod(0o755)
    install = next(text for text in said("RUN") if "requirements.txt" in text)
    ran = subprocess.run(
        ["/bin/sh", "-c", install.replace("cd /app", f"cd {ROOT}")],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "TORCH_BACKEND": backend},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = ran.stdout.splitlines()
    assert len(lines) == steps
    assert f"--torch-backend {backend} -r requirements.txt" in lines[-1]
    assert ("--no-deps" in lines[-1]) == alone


def test_the_app_is_the_first_process_and_is_there_for_all() -> None:
    assert json.loads(said("CMD")[-1]) == ["python", "app.py"]
    assert "ENTRYPOINT" not in dict(instructions())
    assert environment()["GRADIO_SERVER_NAME"] == "0.0.0.0"
    assert said("EXPOSE") == [environment()["GRADIO_SERVER_PORT"]]


def test_all_that_the_app_needs_is_copied_and_nothing_else_is_sent() -> None:
    *ignored, _ = (ROOT / ".dockerignore").read_text().split("\n")
    rules = [line for line in ignored if not line.startswith("#")]
    assert rules[0] == "*"
    sent = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {text.split()[0] for text in said("COPY")}
    assert copied == sent
    assert all((ROOT / one).exists() for one in copied)
    assert any(fnmatch("chat/__pycache__", rule) for rule in rules[1:])
    ours = {file.name for file in ROOT.glob("*.py")} | {"chat", "prompts"}
    assert ours <= copied


def test_no_secret_is_built_in() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert not re.search(r"TOKEN|AUTH|SECRET|PASSWORD|KEY\b|--share", text, re.IGNORECASE)


@pytest.mark.parametrize(
    "state",
    ["ready", "loading", "failed", "not there", pytest.param("silent", marks=pytest.mark.slow)],
)
def test_the_health_check_passes_only_if_the_model_is_ready(state: str, serve: Serve) -> None:
    with ExitStack() as running:
        listening = listen()
        port = listening.getsockname()[1]
        match state:
            case "loading":
                running.enter_context(lobby(listening))
            case "silent":
                running.callback(listening.close)
            case _:
                listening.close()
        if state in ("ready", "failed"):
            engine = ScriptedEngine()
            engine.state = state
            serve(engine, server_port=port)
        program, *arguments = health_check()
        assert program == "python"
        checked = subprocess.run(
            [sys.executable, *arguments],
            env={**environment(), "GRADIO_SERVER_PORT": str(port)},
            capture_output=True,
            timeout=20,
            check=False,
        )
    assert checked.returncode == (0 if state == "ready" else 1)


def test_the_health_check_asks_the_port_that_the_app_was_given(serve: Serve) -> None:
    port = serve(ScriptedEngine()).strip("/").rpartition(":")[2]
    checked = subprocess.run(
        [sys.executable, *health_check()[1:]],
        env={**environment(), "GRADIO_SERVER_PORT": "1", "CHAT_SERVER_PORT": port},
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert checked.returncode == 0
