"""`python -m chat complete`: a model continues a text."""

import io
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chat import __main__ as door
from chat.core.chat import INTERVAL, Chat
from chat.core.gate import Gate
from chat.errors import EngineError
from chat.models import quantize
from chat.settings import Settings, read
from chat.terminal.console import Console
from prompts.formats.plain import Plain
from tests.support import tiny_models
from tests.support.fakes import CharTokens, ScriptedEngine
from tests.support.tiny import chatml_tokenizer

STORY = "This is a nice story that makes me"


class Loaded:
    """What was loaded in place of a model."""

    def __init__(self) -> None:
        self.engine = ScriptedEngine(lambda prompt: " laugh.")
        self.settings = Settings()

    def __call__(self, settings: Settings) -> Chat:
        print("Converting the model, once")
        os.write(1, b"Downloading\n")  # as another process does
        self.settings = settings
        return Chat(self.engine, CharTokens(), Plain(echo=settings.echo), Gate(1, 0))


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Loaded:
    loaded = Loaded()
    monkeypatch.setattr("chat.load.load", loaded)
    return loaded


#: What switches off the progress bars of the hub's library, and ours.
BARS = "HF_HUB_DISABLE_PROGRESS_BARS"


@pytest.fixture(name="run")
def _run(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[Any, str, str]]]:
    """Run `python -m chat` in this process; gives its exit code and what it showed."""
    monkeypatch.setenv("TQDM_DISABLE", "")
    monkeypatch.setenv(BARS, "")  # so that it is as it was afterwards
    monkeypatch.delenv(BARS)

    def run(*arguments: str) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as ended:
            door.main(list(arguments))
        return ended.value.code, *capfd.readouterr()

    yield run
    logging.getLogger("chat").setLevel(logging.NOTSET)


Run = Callable[..., tuple[Any, str, str]]


def named(folder: Path) -> list[str]:
    """Return the flags for a model in a folder, beside which all is kept that is known of it."""
    return ["--model", str(folder), "--cache-dir", str(folder / "cache")]


def test_the_text_alone_is_continued_whatever_format_the_model_has(
    loaded: Loaded, run: Run
) -> None:
    code, out, err = run("complete", STORY, "--system-prompt", "Be brief.")
    assert (code, out) == (0, " laugh.\n")
    assert loaded.engine.prompts == [STORY]
    assert loaded.settings.prompt_format == "plain"
    assert re.search(r"Finished: 7 tokens", err)


def test_the_text_is_echoed_on_demand(loaded: Loaded, run: Run) -> None:
    assert run("complete", STORY, "--echo")[1] == f"{STORY} laugh.\n"


def test_the_flags_are_those_of_the_app_in_any_order(loaded: Loaded, run: Run) -> None:
    run("--max-new-tokens", "9", "complete", "--temperature=0", STORY, "--top-k", "5", "--quiet")
    sampling = loaded.engine.samplings[0]
    assert (sampling.max_new_tokens, sampling.temperature, sampling.top_k) == (9, 0, 5)
    assert loaded.engine.prompts == [STORY]


def test_a_variable_counts_and_a_flag_wins(
    loaded: Loaded, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT_TOP_K", "7")
    monkeypatch.setenv("CHAT_MAX_NEW_TOKENS", "3")
    _, out, err = run("complete", STORY, "--top-k", "5")
    assert loaded.engine.samplings[0].top_k == 5
    assert out == " la\n"
    assert "Cut off at the length limit: 3 tokens" in err


def test_without_a_text_standard_input_is_read(
    loaded: Loaded, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = io.TextIOWrapper(io.BytesIO("Zwei\nZeilen, 日本\n".encode()), "utf-8")
    monkeypatch.setattr(sys, "stdin", text)
    assert run("complete")[0] == 0
    assert loaded.engine.prompts == ["Zwei\nZeilen, 日本"]


def test_what_is_printed_at_the_start_stays_off_standard_output(loaded: Loaded, run: Run) -> None:
    code, out, err = run("complete", STORY)
    assert (code, out) == (0, " laugh.\n")
    assert "Converting" in err
    assert "Downloading" in err
    assert run("complete", STORY, "--quiet") == (0, " laugh.\n", "")


def test_an_error_is_one_sentence_and_code_1(loaded: Loaded, run: Run) -> None:
    assert run("complete", " ", "--quiet")[0] == "Fourbit Chat: There is no text to continue."

    def fail(prompt: str) -> str:
        raise EngineError("The model failed.")

    loaded.engine.script, loaded.engine.partly = fail, " la"
    assert run("complete", STORY, "--quiet")[:2] == ("Fourbit Chat: The model failed.", " la\n")


def test_what_the_engine_logs_for_a_server_is_not_shown(loaded: Loaded, run: Run) -> None:
    run("complete", STORY)
    assert not logging.getLogger("chat.engines.openvino.engine").isEnabledFor(logging.ERROR)


def test_letters_that_the_terminal_lacks_do_not_end_it(
    loaded: Loaded, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
    loaded.engine.script = lambda prompt: "日本!"
    assert run("complete", STORY)[0] == 0
    assert written.getvalue() == b"??!\n"


def test_every_setting_comes_through_as_the_app_reads_it(loaded: Loaded, run: Run) -> None:
    flags = ["--stop", "END", "--seed=5", "--no-echo", "--cache-dir", "~", "--min-p", "0.1"]
    run("complete", STORY, *flags)
    same = {"prompt_format": "plain", "parallel": 1}
    assert loaded.settings == read(flags).model_copy(update=same)


@pytest.mark.parametrize("arguments", [[], ["complete", STORY]])
def test_a_model_that_has_failed_for_good_ends_it_with_a_status_of_its_own(
    loaded: Loaded,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    """Without waiting for threads that never end."""

    def script(prompt: str) -> str:
        loaded.engine.state = "failed"
        raise EngineError("The model failed.")

    class Left(BaseException):
        pass

    def leave(status: int) -> None:
        raise Left(status)

    loaded.engine.script = script
    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hi\nAgain\n"))
    with pytest.raises(Left) as left:
        door.main(arguments)
    assert left.value.args == (os.EX_SOFTWARE,)
    assert capfd.readouterr().err.count("The model failed.") == 1


@pytest.mark.parametrize("arguments", [[], ["complete", STORY]])
def test_the_engine_is_closed_at_the_end(
    loaded: Loaded, run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(loaded.engine, "close", lambda: closed.append(True))
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hi\n"))
    assert run(*arguments, "--quiet") == (0, " laugh.\n", "")
    assert closed == [True]


def test_ctrl_c_is_code_130(loaded: Loaded, run: Run) -> None:
    def interrupt(prompt: str) -> str:
        raise KeyboardInterrupt

    loaded.engine.script = interrupt
    assert run("complete", STORY, "--quiet") == (130, "", "")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--loop"], "--loop goes with complete"),
        (["Hello"], "invalid choice: 'Hello'"),
        (["complete", STORY, "more"], "unrecognized arguments: more"),
        (["complete", STORY, "--temprature", "1"], "unrecognized arguments: --temprature"),
    ],
)
def test_a_mistaken_command_line_is_named(run: Run, arguments: list[str], reason: str) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert reason in err
    assert "python -m chat" in err


def test_help_shows_both_doors_and_every_setting(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert "python -m chat complete [TEXT] [--loop]" in out
    for name in ("quiet", "loop", *Settings.model_fields):
        assert f"--{name.replace('_', '-')}" in out


def test_quiet_shows_no_bars_of_the_hubs_library_and_ours(loaded: Loaded, run: Run) -> None:
    run("complete", STORY)
    assert BARS not in os.environ
    run("complete", STORY, "--quiet")
    assert os.environ[BARS] == "1"


@pytest.mark.parametrize(
    "flags", [["--engine", "openvino"], ["--adapter", "owner/lora"], ["--assistant-model", "o/m"]]
)
def test_what_the_loop_cannot_do_is_said_before_the_model_is_fetched(
    run: Run, monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    monkeypatch.setattr("chat.models.locate.locate", lambda *_, **__: pytest.fail("it is fetched"))
    code, _, _ = run("complete", STORY, "--loop", "--model", "owner/name", *flags)
    assert code.startswith("Fourbit Chat: --loop ")


@pytest.mark.parametrize("make", [tiny_models.gpt2, tiny_models.llama])
def test_the_loop_and_generate_give_the_same_text(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make: Callable[..., Any]
) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").touch()
    tokenizer = chatml_tokenizer()
    # In float32, where two tokens are never equally likely.
    monkeypatch.setattr(
        quantize, "tokenizer_and_model", lambda *_: (tokenizer, make(vocab_size=len(tokenizer)))
    )
    arguments = ["complete", STORY, *named(tmp_path), "--max-new-tokens", "20"]
    greedy = ["--temperature", "0", "--repetition-penalty", "1", "--engine", "transformers"]
    code, text, _ = run(*arguments, *greedy)
    assert code == 0
    assert len(text) > 20
    looped = run(*arguments, "--loop")
    assert looped[:2] == (0, text)
    prompt = len(tokenizer(STORY)["input_ids"])
    size = {"gpt2": 16, "llama": 8}[make.__name__]
    steps = [line.rpartition(" -> ")[0] for line in looped[2].splitlines() if "input" in line]
    assert steps == [
        f"{phase}: input [1, {read}] -> cache 2 layers of [1, 2, {prompt + number}, {size}]"
        for number, (phase, read) in enumerate(
            [("prefill", prompt), *((f"decode {number}", 1) for number in range(1, 20))]
        )
    ]
    assert run(*arguments, "--loop", "--quiet") == (0, text, "")


def test_with_the_loop_the_text_comes_in_one_piece_after_the_steps(
    loaded: Loaded, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr("chat.load.load_loop", lambda settings, show: loaded(settings))
    monkeypatch.setattr(Console, "_write", lambda console, text: written.append(text))
    loaded.engine.pace = INTERVAL
    run("complete", STORY, "--loop")
    assert written == [" laugh.", "\n"]


def test_the_loop_and_the_engine_openvino_exclude_each_other(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").touch()
    arguments = ["--loop", "--engine", "openvino"]
    assert "leave out --engine openvino" in run("complete", STORY, *arguments, *named(tmp_path))[0]


def test_the_loop_refuses_what_openvino_alone_can_read(run: Run, tmp_path: Path) -> None:
    for name in ("openvino_model.xml", "openvino_model.bin"):
        (tmp_path / name).touch()
    (tmp_path / "config.json").write_text("{}")
    code, out, _ = run("complete", STORY, "--loop", *named(tmp_path))
    assert re.fullmatch(r"Fourbit Chat: [^\n]*--loop needs a model that transformers[^\n]*\.", code)
    assert not out
