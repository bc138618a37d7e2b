"""`python -m chat` as a user starts it, through a pipe, with a tiny model in OpenVINO."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import gguf_file

ROOT = Path(__file__).parent.parent.parent


def flags(file: Path) -> list[str]:
    return ["--model", str(file), "--cache-dir", str(file.parent), "--context-window", "256"]


@pytest.fixture
def model(gguf: Path) -> list[str]:
    """The flags for a tiny model."""
    return flags(gguf)


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chat", *arguments],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        **options,
    )


@pytest.mark.model
def test_through_a_pipe_each_line_is_answered_and_replies_alone_come_out(tmp_path: Path) -> None:
    model = flags(gguf_file.write(tmp_path / "new.gguf"))
    short = ["--temperature", "0", "--max-new-tokens", "12"]
    piped = run(*model, *short, input="hello\nclear\nhello\nstop\nnever\n")
    assert piped.returncode == 0
    half = len(piped.stdout) // 2
    assert piped.stdout[:half] == piped.stdout[half:] != "", "after clear all is as it was"
    assert "Converting" in piped.stderr
    assert piped.stderr.count("Cut off at the length limit: 12 tokens") == 2
    quiet = run(*model, *short, "--quiet", input="/nonsense\nhello\n")
    assert quiet.stdout == piped.stdout[:half]
    assert re.fullmatch(r"[^\n]+\.\n", quiet.stderr)
    assert quiet.returncode == 1, "for the line that was refused"


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_pipe_may_begin_with_a_mark_and_what_is_no_text_is_one_sentence(
    model: list[str], encoding: str, locale: str
) -> None:
    short = ["--quiet", "--temperature", "0", "--max-new-tokens", "8"]
    command = [sys.executable, "-m", "chat", *model, *short]
    bad = b"Zw\xf6lf\n" if encoding == "utf-8-sig" else b"\x00\xd8\n\0"
    data = "/system off\nhello\n".encode(encoding) + bad
    environment = {**os.environ, "LC_ALL": locale, "PYTHONIOENCODING": ""}
    ended = subprocess.run(
        command, input=data, capture_output=True, cwd=ROOT, env=environment, timeout=120
    )
    assert len(ended.stdout.splitlines()) == 1, "the command was one, and the bad line not sent"
    assert re.fullmatch(r"A line is not text in UTF-8[^\n]+\.\n", ended.stderr.decode())
    assert ended.returncode == 1


def test_a_reader_that_goes_away_ends_it_without_a_word(model: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "chat", *model, "--quiet", "--max-new-tokens", "8"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    process.stdout.close()
    _, errors = process.communicate(b"hello\n", timeout=60)
    assert (process.returncode, errors) == (1, b"")


@pytest.mark.slow
def test_an_error_at_the_start_is_one_sentence_and_code_1() -> None:
    for arguments in (["--model", "./nowhere"], ["--temperature", "9"]):
        for door in ([], ["complete", "x"]):
            ended = run(*door, *arguments, "--quiet", input="")
            assert ended.returncode == 1
            assert re.fullmatch(r"Fourbit Chat: [^\n]+\.\n", ended.stderr)
            assert not ended.stdout


def test_ctrl_c_at_the_start_shows_no_traceback(model: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "chat", *model],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr
    assert b"starting" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in errors
