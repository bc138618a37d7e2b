"""The page's JavaScript: its types, and what it shares with Python."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

from chat.settings import Settings
from chat.web.page import page
from chat.web.page.theme import HEAD
from tests.support.fakes import ScriptedEngine, chat_with

ROOT = Path(__file__).parents[3]
TYPES = (ROOT / "chat/web/page/javascript.d.ts").read_text("utf-8")
GIVEN = re.compile(r"const ([A-Z_]+) = (.*);")
#: TypeScript's compiler: as `npm install` puts it here, or wherever it is.
TSC = shutil.which("tsc", path=ROOT / "node_modules/.bin") or shutil.which("tsc")


@pytest.fixture(scope="module")
def built() -> page.Page:
    made = page.build(chat_with(ScriptedEngine()), Settings())
    assert isinstance(made, page.Page)
    return made


def constants(built: page.Page) -> dict[str, str]:
    """Return what Python hands over, as it is written at the beginning of the scripts."""
    scripts = [HEAD.partition("<script>")[2]]
    scripts += filter(None, (getattr(one, "js_on_load", None) for one in built.blocks.values()))
    lines = [line for text in scripts for line in takewhile(GIVEN.match, text.splitlines())]
    return dict(GIVEN.match(line).groups() for line in lines)


def snippets(built: page.Page) -> Iterator[str]:
    """Yield the JavaScript of the events."""
    for event in built.config["dependencies"]:
        if isinstance(event["js"], str):
            yield event["js"]


def test_python_hands_over_what_the_scripts_expect_and_nothing_else(built: page.Page) -> None:
    found = constants(built)
    assert found.keys() == set(re.findall(r"declare const ([A-Z_]+):", TYPES))
    assert json.loads(found["ENDPOINTS"]).keys() == {
        *re.findall(r'"(\w+)"', re.search(r"ENDPOINTS: Record<([^>]+)>", TYPES)[1])
    }


def test_events_call_what_the_panel_has_and_all_of_it(built: page.Page) -> None:
    called = set(re.findall(r"conversations\?*\.(\w+)", "\n".join([HEAD, *snippets(built)])))
    there = re.search(r"interface Conversations \{(.*?)\n\}", TYPES, re.DOTALL)
    assert called == set(re.findall(r"^    (\w+)\(", there[1], re.MULTILINE))


@pytest.mark.skipif(not TSC, reason="TypeScript is not here: npm install puts it into this folder")
@pytest.mark.slow
def test_the_types_fit(built: page.Page, tmp_path: Path) -> None:
    """Each file, the events' own lines, and what Python hands over."""
    given = [
        f"/** @type {{typeof {name}}} */ const given_{name} = {value};"
        for name, value in constants(built).items()
    ]
    lines = [f"/** @type {{(...values: any[]) => unknown}} */ ({js});" for js in snippets(built)]
    (tmp_path / "events.js").write_text("\n".join([*given, *lines]), "utf-8")
    included = ["chat/web/**/*.js", "chat/web/**/*.d.ts"]
    config = {
        "extends": str(ROOT / "jsconfig.json"),
        "include": [*(str(ROOT / files) for files in included), "events.js"],
    }
    (tmp_path / "jsconfig.json").write_text(json.dumps(config))
    ran = subprocess.run(
        [TSC, "-p", tmp_path / "jsconfig.json"], capture_output=True, text=True, check=False
    )
    assert ran.stdout + ran.stderr == ""
