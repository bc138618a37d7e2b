"""What fails in CI: all that `.ci/test` lets pass is a test that fails once, by itself."""

import subprocess
import sys
from os import environ, pathsep
from pathlib import Path

import pytest

TEST = Path(__file__).parent.parent / ".ci/test"
GOOD = "def test_good(): pass\n"
ONCE = """
from pathlib import Path
def test_once():
    tried = Path("tried").exists()
    Path("tried").touch()
    assert tried
"""
ONCE_IN_A_FIXTURE = """
import pytest
from pathlib import Path
@pytest.fixture
def made():
    tried = Path("tried").exists()
    Path("tried").touch()
    assert tried
@pytest.mark.parametrize("name", ["a b[c]::d/e", "\\n"])
def test_once(made, name): pass
"""


def run(folder: Path, tests: str) -> "subprocess.CompletedProcess[str]":
    """Run it as CI does, with these tests alone."""
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -pxdist -n2\n")
    (folder / "test_some.py").write_text(tests)
    return subprocess.run(
        [TEST],
        cwd=folder,
        env={
            **environ,
            "PATH": f"{Path(sys.executable).parent}{pathsep}{environ['PATH']}",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # each costs seconds
        },
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("tests", [ONCE, ONCE_IN_A_FIXTURE])
def test_what_fails_once_passes_and_is_told_aloud(tmp_path: Path, tests: str) -> None:
    ended = run(tmp_path, GOOD + tests)
    assert ended.returncode == 0
    assert "FAILED ONCE" in ended.stdout
    assert "\n    test_some.py::test_once" in ended.stdout.partition("PASSED THE SECOND TIME")[2]
    assert "test_good" not in ended.stdout


def test_what_always_passes_is_run_once(tmp_path: Path) -> None:
    ended = run(tmp_path, GOOD)
    assert ended.returncode == 0
    assert "ONCE" not in ended.stdout


@pytest.mark.parametrize(
    ("tests", "again"),
    [
        ("def test_bad(): assert False\n" + ONCE, True),
        ("import nowhere\n", False),
        ("".join(f"def test_{name}(): assert False\n" for name in "abcdef"), False),
        ("", False),
    ],
    ids=["one of two fails twice", "cannot be collected", "too many", "none"],
)
def test_all_else_fails(tmp_path: Path, tests: str, again: bool) -> None:
    ended = run(tmp_path, GOOD * bool(tests) + tests)
    assert ended.returncode != 0
    assert ("FAILED ONCE" in ended.stdout) == again
    assert "PASSED THE SECOND TIME" not in ended.stdout


def test_what_cannot_be_collected_beside_what_fails_once_fails(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("import nowhere\n")
    ended = run(tmp_path, ONCE)
    assert ended.returncode != 0
    assert "FAILED ONCE" not in ended.stdout
