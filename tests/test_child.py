"""chat.child: processes with limits."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from chat import child
from prompts import renderer
from prompts.renderer import Renderer
from tests.support.waiting import until

GLUTTON = "tests.support.glutton"


def test_what_it_writes_comes_back() -> None:
    assert child.answer(GLUTTON, "nothing", given="né".encode(), seconds=60) == "én".encode()


@pytest.mark.parametrize("what", ["memory", "time", "crash"])
def test_one_that_takes_too_much_or_dies_is_no_harm(what: str) -> None:
    begun = time.monotonic()
    with pytest.raises(child.Exceeded):
        child.answer(GLUTTON, what, seconds=60)
    assert time.monotonic() - begun < 50


def test_one_that_waits_is_ended(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never")
    with pytest.raises(child.Exceeded):
        child.answer(GLUTTON, "sleep", tmp_path / "never", seconds=0.5)


def test_it_writes_no_files(tmp_path: Path) -> None:
    with pytest.raises(child.Exceeded):
        child.answer(GLUTTON, "write", tmp_path / "file", seconds=60)
    assert not (tmp_path / "file").exists() or not (tmp_path / "file").read_bytes()


def test_no_secret_of_the_servers_is_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("HF_TOKEN", "CHAT_AUTH", "CHAT_API_KEY", "CHAT_CONVERSATIONS_KEY", "AWS_SECRET_KEY")
    for name in secrets:
        monkeypatch.setenv(name, "my secret")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    found = child.answer(GLUTTON, "environment", seconds=60).decode().split()
    assert "TOKENIZERS_PARALLELISM" in found
    assert not {*secrets} & {*found}


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder, such as that of a model, with modules that are called as ours are."""
    monkeypatch.setattr(sys, "path", [one or os.getcwd() for one in sys.path])
    for name in ("chat", "tests", "prompts", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("hostile")
def test_nothing_of_the_working_folder_is_imported() -> None:
    assert child.answer(GLUTTON, "nothing", given=b"ab", seconds=60) == b"ba"
    process = child.start(GLUTTON, "environment", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert "PYTHONPATH" in process.communicate(timeout=60)[0]
    renderer._process.end()  # so that another is started here
    assert Renderer("{{ 1 + 1 }}").render({}) == "2"


PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1]])
"""
WORKING = """
import os, time
from chat import child
child.end_with(os.getppid())
print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_one_whose_parent_was_killed_ends_too() -> None:
    command = [sys.executable, "-c", PARENT, WORKING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        working = int(parent.stdout.readline())
        parent.kill()
        until(lambda: not psutil.pid_exists(working))
