"""The whole API, fuzzed from its own description: what it says is so.

The long form is in CONTRIBUTING.md; what is checked in both is in schemathesis.toml.
"""

import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine
from tests.web.api.clients import needed

needed("schemathesis")

ROOT = Path(__file__).parents[3]
RUN = [sys.executable, "-m", "schemathesis.cli", "run", "--generation-deterministic", "--no-color"]

#: What is at another address too, or takes the same as another one.
TWICE = [f"--exclude-path=/v1/{one}" for one in ("tokenize", "detokenize", "messages/count_tokens")]


def test_whatever_is_sent_is_answered_as_the_description_says(serve: Serve) -> None:
    engine = ScriptedEngine(lambda prompt: "ok")
    engine.supports = frozenset({"choices", "regex", "json_schema"})
    address = serve(engine, api_key="secret")
    key = ["--header", "Authorization: Bearer secret"]
    ran = subprocess.run(
        [*RUN, *key, *TWICE, "--max-examples=3", f"{address}v1/openapi.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"(\d+) generated, \1 passed", ran.stdout), ran.stdout
