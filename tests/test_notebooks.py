"""The notebooks, run from top to bottom as a reader runs them, with the embedded model."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest
from gradio_client import Client
from nbclient import NotebookClient

from chat.settings import Settings
from tests.support.fakes import ScriptedEngine, chat_with

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ("chat.ipynb", "how_generation_works.ipynb")
COLAB = "https://colab.research.google.com/github/"


def read(name: str) -> Any:
    return nbformat.read(ROOT / "notebooks" / name, as_version=nbformat.NO_CONVERT)


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook: Any) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


@contextmanager
def executed(name: str, folder: Path, scratch: Path, **environment: str) -> Iterator[Any]:
    """Run a notebook in `folder` without a network; its kernel lives until the end of the block."""
    notebook = read(name)
    client = NotebookClient(
        notebook,
        timeout=240,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    surroundings = {
        **os.environ,
        "PIP_NO_INDEX": "1",
        "IPYTHONDIR": str(scratch / "ipython"),
        # On cores that others use too, two threads wait for each other more than they compute.
        "OMP_NUM_THREADS": "1",
        **environment,
    }
    for unwanted in ("COLAB_RELEASE_TAG", "MPLBACKEND"):
        surroundings.pop(unwanted, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PREFER_ENV_PATH", "1")  # this interpreter's kernel
        patch.setenv("JUPYTER_RUNTIME_DIR", str(scratch / "runtime"))
        with client.setup_kernel(env=surroundings):
            for index, cell in enumerate(notebook.cells):
                client.execute_cell(cell, index)
            yield notebook
            # What the notebook says ends it: the page, and the engine with its process.
            if name == "chat.ipynb":
                notebook.cells.append(
                    nbformat.v4.new_code_cell("demo.close(); chat.engine.close()")
                )
                client.execute_cell(notebook.cells[-1], len(notebook.cells) - 1)


@pytest.fixture(scope="module")
def chat_run(embedded_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """chat.ipynb in an empty folder, as on Colab: it clones this, and has torch and numpy."""
    scratch, repository = tmp_path_factory.mktemp("scratch"), tmp_path_factory.mktemp("repository")
    for package in ("chat", "prompts"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, repository / package, ignore=ignored)
    pinned = (ROOT / "requirements.txt").read_text()
    # What nobody has: installing it would fail.
    unobtainable = re.sub("^(torch|numpy)==.*", r"\1==0.0.1", pinned, flags=re.MULTILINE)
    (repository / "requirements.txt").write_text(unobtainable)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "All"]):
        subprocess.run([*git, *command], cwd=repository, check=True)
    redirected = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{repository.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/OWNER/fourbit-chat",
        "CHAT_MODEL": "embedded",
    }
    empty = tmp_path_factory.mktemp("empty")
    with executed("chat.ipynb", empty, scratch, **redirected) as notebook:
        assert (empty / "fourbit-chat" / "chat").is_dir()
        yield notebook


@pytest.fixture(scope="module")
def how_run(
    embedded_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """how_generation_works.ipynb in this checkout, without git: its cells by their ids."""
    scratch = tmp_path_factory.mktemp("scratch")
    folder = ROOT / "notebooks"
    with executed("how_generation_works.ipynb", folder, scratch, GIT_ALLOW_PROTOCOL="none") as run:
        yield {cell.id: cell for cell in run.cells}


def printed(cell: Any) -> str:
    streams = [output for output in cell.outputs if output.output_type == "stream"]
    return "".join(output.text for output in streams if output.name == "stdout")


def plots(cell: Any) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_valid_and_stored_without_output(name: str) -> None:
    notebook = read(name)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in code(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None
        assert cell.metadata == {}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_badge_opens_this_notebook_of_the_repository_that_it_clones(name: str) -> None:
    notebook = read(name)
    (owner,) = re.findall(re.escape(COLAB) + r"(\S+)/blob/main/notebooks/" + name, prose(notebook))
    assert f'REPOSITORY = "https://github.com/{owner}"' in code(notebook)[0].source


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_cells_are_short(name: str) -> None:
    assert max(len(cell.source.splitlines()) for cell in code(read(name))) <= 17


def test_the_chat_takes_three_cells() -> None:
    assert [cell.id for cell in code(read("chat.ipynb"))] == ["install", "load", "chat"]


@pytest.mark.parametrize("colab", [True, False])
def test_a_public_link_is_asked_for_on_colab_alone(
    colab: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        "chat.web.serve.launch",
        lambda demo, settings, *, block: asked.append((settings.share, block)),
    )
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    if colab:
        monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    names = {"os": os, "chat": chat_with(ScriptedEngine()), "settings": Settings()}
    exec(code(read("chat.ipynb"))[2].source, names)
    assert asked == [(colab, False)]


@pytest.mark.parametrize(
    ("surroundings", "disabled"),
    [
        ({"COLAB_RELEASE_TAG": "release-colab"}, "True"),
        ({"COLAB_RELEASE_TAG": "release-colab", "HF_HUB_DISABLE_XET": "0"}, "False"),
        ({}, "False"),
    ],
)
def test_on_colab_alone_downloads_do_without_xet_unless_it_is_asked_for(
    surroundings: dict[str, str], disabled: str
) -> None:
    cell = code(read("chat.ipynb"))[1].source
    before, *_ = cell.partition("settings = ")
    unset = ("COLAB_RELEASE_TAG", "HF_HUB_DISABLE_XET")
    others = {name: value for name, value in os.environ.items() if name not in unset}
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import os\n{before}\nfrom huggingface_hub import constants\n"
            "print(constants.HF_HUB_DISABLE_XET)",
        ],
        cwd=ROOT,
        env=others | surroundings,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == disabled


@pytest.mark.parametrize("folder", [".", "notebooks"])
def test_in_a_checkout_the_install_cell_fetches_nothing(folder: str) -> None:
    cell = code(read("chat.ipynb"))[0].source
    nothing = {"PIP_NO_INDEX": "1", "GIT_ALLOW_PROTOCOL": "none"}
    ended = subprocess.run(
        [sys.executable, "-c", f"{cell}\nprint(os.getcwd(), sys.path[0])"],
        cwd=ROOT / folder,
        env={**os.environ, **nothing},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines()[-1].split() == [str(ROOT)] * 2


def test_the_page_that_the_chat_notebook_serves_answers_over_http(chat_run: Any) -> None:
    shown = printed(code(chat_run)[2])
    address = re.search(r"http://127\.0\.0\.1:\d+", shown)
    assert address, shown
    client = Client(address[0], verbose=False, analytics_enabled=False)
    reply, status = client.predict(
        "What is the capital of France?", temperature=0, max_new_tokens=40, api_name="/chat"
    )
    assert "Paris" in reply
    assert status.startswith("Finished")
    assert "gradio.live" not in shown


def test_every_plot_is_drawn(how_run: dict[str, Any]) -> None:
    drawn = {id: plots(cell) for id, cell in how_run.items() if cell.get("outputs")}
    assert {id for id, count in drawn.items() if count} == {"likeliest", "processed", "cache"}


def test_each_processor_leaves_what_it_says(how_run: dict[str, Any]) -> None:
    left = dict(re.findall(r"(.+): (\d+) tokens", printed(how_run["processed"])))
    everything = left.pop("No processor")
    assert left["Repetition penalty 1.2"] == left["Temperature 0.5"] == everything
    assert left["Top-k 5"] == "5"
    assert 1 < int(left["Top-p 0.5"]) < 5
    assert 1 < int(left["Min-p 0.5"]) < 5


@pytest.mark.parametrize("cell", ["draws", "sampled"])
def test_the_same_seed_gives_the_same_and_another_one_another(
    how_run: dict[str, Any], cell: str
) -> None:
    first, again, other = re.findall(r"Seed \d: (.+)", printed(how_run[cell]))
    assert first == again != other


def test_prefill_reads_the_prompt_and_decode_one_token_a_step(how_run: dict[str, Any]) -> None:
    (prompt,) = re.findall(r"^\[[\d, ]+\]$", printed(how_run["ids"]), re.MULTILINE)
    count = len(json.loads(prompt))
    steps = re.findall(
        r"read \(1, (\d+)\) +cache \(1, \d+, (\d+), \d+\)", printed(how_run["decode"])
    )
    expected = [(count, count), *((1, count + step) for step in range(1, 12))]
    assert [tuple(map(int, step)) for step in steps] == expected


def test_the_loop_that_is_shown_is_the_project_s(how_run: dict[str, Any]) -> None:
    decode = ROOT / "chat" / "engines" / "transformers" / "decode.py"
    assert printed(how_run["source"]).strip() in decode.read_text()


def test_both_streamers_give_what_generate_writes(how_run: dict[str, Any]) -> None:
    (greedy,) = re.findall(r"Greedy: '(.+)'", printed(how_run["sampled"]))
    pieces = re.findall(r"'(.*)'", printed(how_run["iterator-streamer"]))
    assert len(list(filter(None, pieces))) > 5
    assert "".join(pieces).strip() == greedy.strip()
    assert printed(how_run["text-streamer"]).strip() == greedy.strip()


def test_the_worker_stops_when_nobody_reads(how_run: dict[str, Any]) -> None:
    assert printed(how_run["stopped"]).endswith("The worker has stopped\n")


def test_the_formats_are_shown_and_nobody_forges_a_mark(how_run: dict[str, Any]) -> None:
    shown = printed(how_run["formats"])
    assert "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello! </s>" in shown
    assert "<|im_start|>user\nHi<|im_end|>\n" in shown
    ours, theirs = re.findall(r"by .+: (\[.+\])", printed(how_run["control"]))
    assert len(json.loads(ours)) == 1
    assert not set(json.loads(ours)) & set(json.loads(theirs))


def test_the_chat_streams_and_remembers(how_run: dict[str, Any]) -> None:
    assert "Paris" in printed(how_run["first-turn"])
    assert "Berlin" in printed(how_run["second-turn"])
