"""The contributor's page, and what CI and the forms say, are true of the repository."""

import re
import shlex
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
FORMS = [ROOT / ".github/ISSUE_TEMPLATE" / name for name in ("bug.yml", "feature.yml")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

PROSE = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
NAMED = re.findall(r"`(\S+)`", PROSE) + re.findall(r"\]\((\S+)\)", PROSE)
PATHS = {name for name in NAMED if "/" in name or name.endswith((".md", ".toml"))}
COMMANDS = [
    shlex.split(command, comments=True)
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.S)
    for command in re.split(r"&&|\n", block)
    if command.strip()
]
STEPS = [step["run"] for job in WORKFLOW["jobs"].values() for step in job["steps"] if "run" in step]


def programs() -> set[str]:
    """Return the commands that requirements-dev.txt installs, and Schemathesis'."""
    needed = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    installed = [distribution(Requirement(one).name).files or [] for one in needed]
    found = {file.name for files in installed for file in files if file.parent.name == "bin"}
    return found | {"st"}


@pytest.mark.parametrize("path", sorted(PATHS))
def test_every_path_on_the_page_is_there(path: str) -> None:
    assert any(ROOT.glob(re.sub(r"<\w+>", "*", path).rstrip("/"))), path


def test_every_command_on_the_page_is_one() -> None:
    assert len(COMMANDS) > 8
    assert {command[0] for command in COMMANDS} <= programs() | {"python", "source", "npm"}


def test_the_marker_of_the_fast_tests_is_one_and_ci_runs_them(
    pytestconfig: pytest.Config,
) -> None:
    (fast,) = [command for command in COMMANDS if command[0] == "pytest" and len(command) > 1]
    assert fast[:2] == ["pytest", "-m"]
    assert fast[2] in {line.partition(":")[0] for line in pytestconfig.getini("markers")}
    assert shlex.join(fast) in STEPS


def test_ci_installs_all_clients_so_that_none_is_skipped() -> None:
    runs = [STEPS, (ROOT / ".ci/run").read_text().splitlines()]
    (alone,) = [command[-1] for command in COMMANDS if "--no-deps" in command[:3]]
    assert alone.startswith("instructor==")
    for run in runs:
        installs = [line for line in run if "install" in line]
        for file in ("-r requirements-dev.txt -r requirements-clients.txt", f"--no-deps {alone}"):
            assert [line for line in installs if line.endswith(file)], file


def test_ci_asks_what_is_known_of_the_packages_and_runs_failed_tests_once_more() -> None:
    whole = "\n".join(step.get("run", "") for step in WORKFLOW["jobs"]["whole"]["steps"])
    ours = (ROOT / ".ci/run").read_text()
    for run in (whole, ours):
        assert re.search(r"^\.ci/test$", run, re.MULTILINE)
        assert re.search(
            r'^\.ci/audit "\S+" \.ci/audit-ignored requirements-lock\*\.txt$', run, re.M
        )
        assert re.search(r"apt-get install .*\bhaproxy nginx-light\b", run)
    (pinned,) = set(re.findall(r"pip-audit==\S+", whole + ours))
    assert pinned


def test_ci_runs_every_python_that_is_named() -> None:
    pythons = WORKFLOW["jobs"]["fast"]["strategy"]["matrix"]["python"]
    assert f">={pythons[0]}" == PROJECT["requires-python"]
    assert pythons == ["3.11", "3.12", "3.13", "3.14"]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_forms_are_what_github_accepts_and_ask_for_the_version(form: Path) -> None:
    shape = yaml.safe_load(form.read_text())
    assert {"name", "description", "body"} <= shape.keys()
    fields = [part for part in shape["body"] if part["type"] != "markdown"]
    ids = [field["id"] for field in fields]
    assert len(set(ids)) == len(ids)
    assert all(field["attributes"]["label"] for field in fields)
    assert "--version" in form.read_text()
    assert {"engine", "hardware"} <= set(re.findall(r"[a-z]+", form.read_text().lower()))
