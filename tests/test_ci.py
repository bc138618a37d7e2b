"""What fails in CI: a test that fails twice (`.ci/test`), what is known against a package."""

import json
import subprocess
import sys
from os import environ, pathsep
from pathlib import Path
from typing import Any

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


def run(folder: Path, tests: str, workers: int = 0) -> "subprocess.CompletedProcess[str]":
    """Run it as CI does, with these tests alone."""
    (folder / "pytest.ini").write_text(f"[pytest]\naddopts = -pxdist -n{workers}\n")
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


@pytest.mark.parametrize(("tests", "workers"), [(ONCE, 2), (ONCE_IN_A_FIXTURE, 0)])
def test_what_fails_once_passes_and_is_told_aloud(tmp_path: Path, tests: str, workers: int) -> None:
    ended = run(tmp_path, GOOD + tests, workers)
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


# What is known against the packages

FAULT = {"id": "PYSEC-1", "aliases": ["CVE-2"], "fix_versions": ["1.2"]}
WELL = {"name": "well", "version": "1", "vulns": []}
ILL = {"name": "ill", "version": "1", "vulns": [FAULT]}
UNKNOWN = {"name": "unknown", "skip_reason": "Dependency not found"}


def audit(folder: Path, *answers: Any, ignored: str = "") -> "subprocess.CompletedProcess[str]":
    """Audit by a pip-audit that gives these answers, one to each service; text is no answer."""
    texts = [one if isinstance(one, str) else json.dumps({"dependencies": one}) for one in answers]
    program = folder / "pip-audit"
    told = dict(zip(("pypi", "osv"), texts, strict=False))
    program.write_text(
        f"#!{sys.executable}\nimport sys\nservice = sys.argv[1].partition('=')[2]\n"
        f"print({told!r}.get(service, 'down'))\nsys.exit(1)\n"
    )
    program.chmod(0o755)
    (folder / "ignored").write_text(ignored)
    return subprocess.run(
        [TEST.with_name("audit"), program, folder / "ignored", "lock.txt"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )


def test_a_known_vulnerability_fails_and_says_where_it_is_mended(tmp_path: Path) -> None:
    ended = audit(tmp_path, [WELL, ILL, UNKNOWN])
    assert ended.returncode == 1
    assert "VULNERABLE: ill 1: PYSEC-1, CVE-2; mended in 1.2" in ended.stdout
    assert "NOT AUDITED: unknown" in ended.stdout


def test_nothing_known_passes(tmp_path: Path) -> None:
    ended = audit(tmp_path, [WELL])
    assert (ended.returncode, ended.stdout) == (0, "Audited 1 packages: 0 known vulnerabilities.\n")


@pytest.mark.parametrize("id", ["PYSEC-1", "CVE-2"])
def test_what_has_a_reason_passes_and_says_it(id: str, tmp_path: Path) -> None:
    ended = audit(tmp_path, [ILL], ignored=f"# Why\n\n{id} it is never called\n")
    assert ended.returncode == 0
    assert "ignored: ill 1: PYSEC-1, CVE-2: it is never called" in ended.stdout


@pytest.mark.parametrize("ignored", ["PYSEC-1\n", "PYSEC-1   \n"])
def test_what_has_no_reason_fails(ignored: str, tmp_path: Path) -> None:
    ended = audit(tmp_path, [ILL], ignored=ignored)
    assert ended.returncode == 1
    assert "without a reason" in ended.stdout


@pytest.mark.parametrize(
    "answers", [(), ("Traceback",), ([UNKNOWN], "Traceback"), ([UNKNOWN],) * 2]
)
def test_who_cannot_be_asked_fails_nothing_and_it_is_said(answers: Any, tmp_path: Path) -> None:
    ended = audit(tmp_path, *answers)
    assert ended.returncode == 0
    assert ended.stdout.startswith("NOT AUDITED: nobody")


def test_another_is_asked_where_the_first_does_not_know(tmp_path: Path) -> None:
    assert audit(tmp_path, [UNKNOWN], [ILL]).returncode == 1


def test_a_pip_audit_that_is_not_there_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "ignored").touch()
    ended = subprocess.run(
        [TEST.with_name("audit"), tmp_path / "none", tmp_path / "ignored", "lock.txt"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout[:11]) == (0, "NOT AUDITED")


def test_each_that_is_ignored_has_its_reason() -> None:
    for line in TEST.with_name("audit-ignored").read_text().splitlines():
        assert line.startswith("#") or len(line.split()) > 3
