"""curl, as the README shows it."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine

README = (Path(__file__).parents[4] / "README.md").read_text()
COMMANDS = re.findall(r"^curl (?:.*\\\n)*.*$", README, re.M)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_in_the_readme_gets_a_stream(command: str, serve: Serve) -> None:
    address = serve(ScriptedEngine())
    here = command.replace("http://127.0.0.1:7860/", address)
    assert here != command
    ran = subprocess.run(
        ["bash", "-c", f"{here} --silent --show-error --noproxy '*'"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    *chunks, done = [line.removeprefix("data: ") for line in ran.stdout.split("\n\n") if line]
    said = [json.loads(chunk)["choices"][0]["delta"].get("content", "") for chunk in chunks]
    assert ("".join(said), done) == ("You said: What is the capital of France?", "[DONE]")
