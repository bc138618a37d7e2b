"""The repository as a Hugging Face Space, and chat.space: what is different there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from chat import space
from chat.settings import read
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine

ROOT = Path(__file__).parent.parent

#: As the Hub's "Spaces Configuration Reference" lists them, those of a Gradio Space alone.
KEYS = {
    "title",
    "emoji",
    "colorFrom",
    "colorTo",
    "sdk",
    "sdk_version",
    "python_version",
    "app_file",
    "short_description",
    "suggested_hardware",
    "startup_duration_timeout",
    "pinned",
    "license",
    "models",
    "tags",
}
COLORS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
HARDWARE = {"cpu-basic", "cpu-upgrade", "t4-small", "t4-medium", "l4x1", "a10g-small", "l40sx1"}

FOLDERS = ("HF_HOME", "CHAT_CACHE_DIR", "CHAT_DATA_DIR")


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A Space with storage."""
    for name in FOLDERS:  # and have what the test sets undone
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("SPACE_ID", "owner/name")
    monkeypatch.setattr(space, "STORAGE", tmp_path)
    return tmp_path


def kept() -> list[str]:
    return [os.environ[name] for name in FOLDERS]


def test_the_front_matter_is_what_the_hub_accepts() -> None:
    front = yaml.safe_load((ROOT / "README.md").read_text().split("---\n")[1])
    requirements = (ROOT / "requirements.txt").read_text().split()
    assert front.keys() <= KEYS
    assert {front["colorFrom"], front["colorTo"]} <= COLORS
    assert len(front["short_description"]) <= 60
    assert (front["sdk"], front["python_version"]) == ("gradio", "3.12")
    assert f"gradio=={front['sdk_version']}" in requirements
    assert front["suggested_hardware"] in HARDWARE
    assert (ROOT / front["app_file"]).is_file()


def test_what_a_space_downloads_and_makes_is_kept_on_its_storage(storage: Path) -> None:
    space.use_storage()
    assert all(Path(folder).is_relative_to(storage) for folder in kept())
    assert len(set(kept())) == 3
    settings = read([])
    assert [settings.cache_dir, settings.data_dir] == [Path(folder) for folder in kept()[1:]]


def test_what_the_host_sets_wins(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FOLDERS:
        monkeypatch.setenv(name, f"/elsewhere/{name}")
    space.use_storage()
    assert kept() == [f"/elsewhere/{name}" for name in FOLDERS]


@pytest.mark.parametrize("folder", ["/nowhere", "/proc"])
def test_a_space_without_storage_that_can_be_written_keeps_nothing_there(
    storage: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "STORAGE", Path(folder))
    space.use_storage()
    assert kept() == ["", "", ""]


def test_elsewhere_nothing_is_kept_in_such_a_folder(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPACE_ID")
    space.use_storage()
    assert kept() == ["", "", ""]


def test_a_space_makes_no_share_link_and_says_why(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tunnels: list[object] = []
    monkeypatch.setattr("gradio.networking.setup_tunnel", lambda **_: tunnels.append(1))
    monkeypatch.setattr(space, "on_space", lambda: True)
    serve(ScriptedEngine(), share=True)
    assert tunnels == []
    assert "A Space has an address of its own" in capsys.readouterr().out


def test_a_space_that_switches_server_side_rendering_on_gets_none(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setenv("GRADIO_SSR_MODE", "True")
    monkeypatch.setenv("GRADIO_NODE_PATH", "/usr/bin/node")
    monkeypatch.setattr(
        "gradio.blocks.start_node_server", lambda **_: started.append(1) or (None, None, None)
    )
    serve(ScriptedEngine())
    assert started == []


def test_on_zerogpu_spaces_is_imported_before_what_it_changes(tmp_path: Path) -> None:
    (tmp_path / "spaces.py").write_text(
        "import os, sys\n"
        "early = {'gradio', 'torch', 'transformers'} & sys.modules.keys()\n"
        "sys.exit(f'{early} {os.environ[\"HF_DEACTIVATE_ASYNC_LOAD\"]}')\n"
    )
    ended = subprocess.run(
        [sys.executable, "app.py", "--model", "./nowhere"],
        cwd=ROOT,
        env={**os.environ, "SPACES_ZERO_GPU": "true", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.stderr.strip() == "set() 1"
