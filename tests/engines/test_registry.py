"""The registry of engines, and all that has to agree with it."""

import subprocess
import sys
from pathlib import Path

import pytest

from chat.engines.registry import ENGINES
from chat.errors import SettingsError
from chat.settings import Settings, read

README = (Path(__file__).parents[2] / "README.md").read_text()

engines = pytest.mark.parametrize("name", ENGINES)


@engines
def test_an_engine_is_a_value_of_its_setting(name: str) -> None:
    assert read(["--engine", name]).engine == name


def test_no_other_name_is_and_those_that_are_are_told() -> None:
    with pytest.raises(SettingsError) as caught:
        read(["--engine", "abacus"])
    assert all(f"'{name}'" in str(caught.value) for name in ("auto", *ENGINES))


@engines
def test_its_own_options_are_settings_with_the_same_limits(name: str) -> None:
    options = ENGINES[name].options.model_fields
    assert {key: repr(Settings.model_fields[key]) for key in options} == {
        key: repr(field) for key, field in options.items()
    }


@engines
def test_help_says_when_it_is_taken_and_lists_its_options_after_the_engine(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        read(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{name} ({ENGINES[name].description})" in shown
    flags = [f"--{key.replace('_', '-')}" for key in ENGINES[name].options.model_fields]
    # One that can be switched off has a comma behind it.
    listed = [shown.replace(",", " ").rindex(f" {flag} ") for flag in flags]
    places = [shown.rindex(" --engine "), *listed, shown.rindex(" --prompt-format ")]
    assert places == sorted(places)


@engines
def test_the_readme_names_it_where_it_explains_the_setting(name: str) -> None:
    row = next(line for line in README.splitlines() if line.startswith("| `--engine`"))
    assert f"`{name}` ({ENGINES[name].description})" in row


def test_nothing_heavy_is_imported_before_an_engine_is_loaded() -> None:
    heavy = "{'torch', 'transformers', 'openvino', 'openvino_genai', 'tokenizers', 'numpy'}"
    program = f"import sys, chat.settings; sys.exit(str({heavy} & sys.modules.keys() or ''))"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.stderr.strip() == ""
