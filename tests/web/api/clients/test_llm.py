"""The command `llm`."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.web.api.clients import Server


@pytest.fixture
def llm(server: Server, tmp_path: Path) -> Callable[..., str]:
    """Run the command `llm` as someone who added this server to its models."""
    entry = {"model_name": "any", "api_base": server[0], "api_key_name": "ours"}
    chat = {"model_id": "chat", **entry}
    text = {"model_id": "text", **entry, "completion": True}
    # YAML takes JSON.
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([chat, text]))
    (tmp_path / "keys.json").write_text(json.dumps({"ours": "secret"}))

    def run(*arguments: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-m", "llm", *arguments],
            env={**os.environ, "LLM_USER_PATH": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return ended.stdout if ended.returncode == 0 else ended.stderr

    return run


@pytest.mark.slow
def test_llm_has_a_conversation(llm: Callable[..., str], server: Server) -> None:
    assert llm("-m", "chat", "-s", "Rhyme.", "-o", "temperature", "0", "hi") == "You said: hi\n"
    assert llm("-m", "chat", "-c", "again", "--no-stream") == "You said: again\n"
    first, second = server[1].prompts
    assert first.startswith("system: Rhyme.\0user: hi\0")
    assert "user: hi\0assistant: You said: hi\0user: again\0" in second
    assert server[1].samplings[0].temperature == 0


@pytest.mark.slow
def test_llm_continues_a_text(llm: Callable[..., str], server: Server) -> None:
    server[1].script = lambda prompt: " upon a time"
    assert llm("-m", "text", "Once") == " upon a time\n"
    assert server[1].prompts == ["Once"]
