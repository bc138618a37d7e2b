"""The package: what it needs, what is in it, and that the pins are made from the same source."""

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from email import message_from_bytes
from importlib.metadata import packages_distributions
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import app
import chat

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

#: pydantic comes with the one pydantic_core that fits, ZeroGPU with spaces, torch for CUDA with
#: Triton, OpenTelemetry is an extra.
BROUGHT = {"opentelemetry", "pydantic_core", "spaces", "triton"}


def named(*extras: str) -> dict[str, Requirement]:
    """Return what pyproject.toml asks for, by name."""
    texts = [*PROJECT["dependencies"]]
    for extra in extras:
        texts += PROJECT["optional-dependencies"][extra]
    return {canonicalize_name(one.name): one for one in map(Requirement, texts)}


def lines(file: str) -> list[str]:
    """Return the pins of a file."""
    return (ROOT / file).read_text().splitlines()


def imported() -> set[str]:
    """Return the packages that the modules in the wheel import, at their top or later."""
    found: set[str] = set()
    for file in [
        ROOT / "app.py",
        *(ROOT / "chat").rglob("*.py"),
        *(ROOT / "prompts").rglob("*.py"),
    ]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"chat", "prompts"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (file,) = folder.iterdir()
    return ZipFile(file)


@pytest.mark.parametrize(
    ("file", "extras"),
    [
        ("requirements.txt", []),
        ("requirements-dev.txt", ["dev"]),
        ("requirements-clients.txt", ["clients"]),
    ],
)
def test_all_that_is_named_is_pinned_within_its_range_and_nothing_else_is(
    file: str, extras: list[str]
) -> None:
    pins = {canonicalize_name(one.name): one for one in map(Requirement, lines(file))}
    ranges = named(*extras)
    assert pins.keys() == ranges.keys()
    for name, pin in pins.items():
        (exact,) = pin.specifier
        assert exact.operator == "==", name
        assert ranges[name].specifier.contains(exact.version), name
        assert pin.marker == ranges[name].marker, name


@pytest.mark.parametrize("more", ["dev", "clients"])
def test_all_files_pin_the_same(more: str) -> None:
    assert set(lines("requirements.txt")) < set(lines(f"requirements-{more}.txt"))


def test_all_that_is_imported_is_named() -> None:
    distributions = packages_distributions()
    for package in imported() - BROUGHT:
        assert canonicalize_name(distributions[package][0]) in named(), package


def test_there_is_one_licence() -> None:
    front = yaml.safe_load((ROOT / "README.md").read_text().split("---\n")[1])
    assert PROJECT["license"].lower() == front["license"] == "apache-2.0"
    assert "Copyright 2026 The Fourbit Chat authors" in (ROOT / "LICENSE").read_text()


def test_the_wheel_says_what_it_is(wheel: ZipFile) -> None:
    info = f"fourbit_chat-{chat.__version__}.dist-info"
    about = message_from_bytes(wheel.read(f"{info}/METADATA"))
    assert Version(about["Version"]) == Version(chat.__version__)
    assert about["License-Expression"] == "Apache-2.0"
    assert f"{info}/licenses/LICENSE" in wheel.namelist()


def test_the_wheel_has_every_file_of_the_app_and_no_other(wheel: ZipFile) -> None:
    folders = ("chat", "prompts")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*") if file.is_file()]
    ours = {str(file.relative_to(ROOT)) for file in files if file.suffix != ".pyc"} | {"app.py"}
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == ours


def test_its_command_starts_the_app(wheel: ZipFile) -> None:
    scripts = wheel.read(f"fourbit_chat-{chat.__version__}.dist-info/entry_points.txt").decode()
    assert re.search(r"^fourbit-chat = app:main$", scripts, re.MULTILINE)
    inspect.signature(app.main).bind()  # as a script calls it
