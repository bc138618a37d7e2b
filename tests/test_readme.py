"""The README says what the code does."""

from pathlib import Path

import pytest

from chat.settings import Settings
from prompts import FORMATS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_settings_table_has_every_setting(name: str) -> None:
    row = next(
        line for line in README.splitlines() if line.startswith(f"| `--{name}`".replace("_", "-"))
    )
    assert f"CHAT_{name.upper()}" in row
    default = Settings.model_fields[name].default
    if isinstance(default, str | int | float) and not isinstance(default, bool):
        said = row.split("|")[3].strip(" `")
        assert said.startswith(str(default) or "none")


@pytest.mark.parametrize("name", FORMATS)
def test_every_prompt_format_is_named(name: str) -> None:
    assert f"`{name}`" in README


def test_versions_are_pinned_and_match_the_space() -> None:
    pinned = (ROOT / "requirements.txt").read_text().split()
    assert all("==" in line for line in pinned)
    gradio = next(line for line in pinned if line.startswith("gradio=="))
    assert f"sdk_version: {gradio.removeprefix('gradio==')}" in README
    assert "torch==2.13.0" in pinned
