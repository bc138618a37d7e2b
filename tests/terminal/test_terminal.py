"""chat.terminal.terminal: the conversation, its commands, and what is shown."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.core.chat import Update
from chat.core.conversation import clean
from chat.core.reply import tidy
from chat.core.sampling import Sampling
from chat.errors import EngineError
from chat.terminal.console import ERASE_SCREEN, UNEXPECTED, Console
from chat.terminal.terminal import Terminal
from tests.support.fakes import ScriptedEngine, chat_with

FINISHED = re.compile(r"Finished: \d+ tokens")


class Talk:
    """A conversation in which these lines are typed; `screen` and `notes` are what was shown."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.engine = ScriptedEngine()
        self.drafts: list[str] = []
        self._capsys = capsys

    def __call__(self, *lines: str, live: bool = False, quiet: bool = False) -> "Talk":
        left = list(lines)

        def ask(draft: str) -> str:
            self.drafts.append(draft)
            if not left:
                raise EOFError
            return left.pop(0)

        console = Console(live=live, quiet=quiet)
        self.terminal = Terminal(chat_with(self.engine), console, ask, "Be brief.", Sampling())
        try:
            self.terminal.run()
        finally:
            self.unread = left
            self.screen, self.notes = self._capsys.readouterr()
        return self

    @property
    def prompt(self) -> str:
        """What the engine read last, control tokens as |."""
        return self.engine.prompts[-1].replace("\0", "|")


@pytest.fixture
def talk(capsys: pytest.CaptureFixture[str]) -> Talk:
    return Talk(capsys)


def test_each_message_is_answered_and_the_model_knows_what_was_said(talk: Talk) -> None:
    assert talk("Hi", "Again").screen == "You said: Hi\nYou said: Again\n"
    assert talk.prompt == (
        "system: Be brief.|user: Hi|assistant: You said: Hi|user: Again|assistant: "
    )


def test_standard_output_has_replies_alone_and_standard_error_what_they_took(talk: Talk) -> None:
    talk("Hi", "help", "/nonsense", "Again")
    assert talk.screen == "You said: Hi\nYou said: Again\n"
    assert len(FINISHED.findall(talk.notes)) == 2
    assert "/retry" in talk.notes


def test_quiet_shows_replies_and_errors_alone(talk: Talk) -> None:
    talk("Hi", "/nonsense", quiet=True)
    assert talk.screen == "You said: Hi\n"
    assert talk.notes == "There is no such command; help shows those there are.\n"


def test_blank_lines_are_no_messages(talk: Talk) -> None:
    talk("", "  ", "Hi")
    assert len(talk.engine.prompts) == 1
    assert talk.terminal.faultless


def test_a_line_of_nothing_that_can_be_read_says_nothing_again(talk: Talk) -> None:
    """As where files that DOS has ended were put together."""
    assert talk("Hi", "\x1a", "Again").screen == "You said: Hi\nYou said: Again\n"
    assert talk.prompt.count("You said: Hi") == 1
    talk("Hi", "clear", "\x1a", "Again")
    assert "Hi" not in talk.prompt


def test_a_model_cannot_command_the_terminal(talk: Talk) -> None:
    talk.engine.script = lambda prompt: "\x1b[2J\x9b31mred\x07\x08\x7f \r\x00tab\tend"
    assert talk("Hi").screen == "[2J31mred \ntab\tend\n"


@given(st.lists(st.text("ab \n\t\r\x1b日👩\u200d", max_size=4)), st.booleans())
def test_updates_print_the_reply_once_and_whole_however_it_is_cut(
    parts: list[str], live: bool
) -> None:
    written: list[str] = []
    console = Console(live=live, quiet=True)
    console._write = written.append  # type: ignore[method-assign]
    texts = [tidy("".join(parts[:end])) for end in range(len(parts) + 1)]
    for text in texts:
        console._show(Update("writing", text=text))
    assert "".join(written) == clean(texts[-1])


def test_while_a_prompt_is_read_a_line_says_so_where_someone_watches(talk: Talk) -> None:
    talk.engine.reading = 0.01
    assert re.match(r"\r\x1b\[KReading \d+ tokens…\r\x1b\[K", talk("Hi", live=True).screen)
    assert talk("Hi", live=False).screen == "You said: Hi\n"


def test_a_reply_without_a_word_leaves_no_line(talk: Talk) -> None:
    talk.engine.script = lambda prompt: ""
    assert talk("Hi", quiet=True).screen == ""
    assert talk.drafts == ["", "Hi"]


def test_a_refused_message_is_one_sentence_and_is_offered_again(talk: Talk) -> None:
    long = "x" * 3000
    talk("Hi", long, "Again")
    assert talk.drafts == ["", "", long, ""]
    assert len(re.findall(r"Your message takes [^\n]+\.\n", talk.notes)) == 1
    assert talk.prompt.count("user:") == 2, "the refused message is not part of it"
    assert not talk.terminal.faultless


def test_a_model_that_fails_midway_leaves_what_it_wrote_and_the_conversation_goes_on(
    talk: Talk,
) -> None:
    def script(prompt: str) -> str:
        if len(talk.engine.prompts) == 1:
            raise EngineError("The model failed.")
        return "there"

    talk.engine.script, talk.engine.partly = script, "Well"
    talk("Hi", "Again")
    assert talk.screen == "Well\nWellthere\n"
    assert "The model failed.\n" in talk.notes
    assert talk.drafts == ["", "", ""]
    assert "assistant: Well|user: Again" in talk.prompt


def test_a_model_that_has_failed_for_good_says_so_and_ends_it(talk: Talk) -> None:
    def script(prompt: str) -> str:
        talk.engine.state = "failed"
        raise EngineError("The model failed.")

    talk.engine.script = script
    assert talk("Hi", "never").unread == ["never"]
    assert talk.notes.endswith("The model failed.\n")


def test_an_unforeseen_error_shows_neither_traceback_nor_text(talk: Talk) -> None:
    def script(prompt: str) -> str:
        raise KeyError(prompt)

    talk.engine.script = script
    talk("private")
    assert talk.notes == f"{UNEXPECTED}\n"


@pytest.mark.parametrize("word", ["clear", "/clear", "clear "])
def test_clear_empties_the_conversation_and_the_screen(talk: Talk, word: str) -> None:
    assert ERASE_SCREEN in talk("Hi", word, "Again", live=True).screen
    assert "Hi" not in talk.prompt
    assert ERASE_SCREEN not in talk("Hi", word).screen


@pytest.mark.parametrize("word", ["stop", "/stop", "exit", "/exit", "quit", "/quit"])
def test_stop_leaves(talk: Talk, word: str) -> None:
    assert talk("Hi", word, "never").unread == ["never"]


def test_with_a_space_before_it_a_command_is_a_message(talk: Talk) -> None:
    talk(" stop", " /system x")
    assert "user:  stop|" in talk.prompt
    assert "user:  /system x|" in talk.prompt


@pytest.mark.parametrize("line", ["/nonsense", "/clear it", "/", "/save", "/load", "/retry x"])
def test_what_is_no_command_is_refused_and_offered_again(talk: Talk, line: str) -> None:
    talk("Hi", line)
    assert talk.drafts[-1] == line
    assert re.search(r"\n[^\n]+\.\n$", talk.notes)
    assert len(talk.engine.prompts) == 1


def test_retry_asks_for_the_last_reply_anew(talk: Talk) -> None:
    talk("One", "Two", "/retry")
    assert talk.engine.prompts[1] == talk.engine.prompts[2]


def test_retry_without_an_answer_keeps_the_earlier_one(talk: Talk) -> None:
    def script(prompt: str) -> str:
        if len(talk.engine.prompts) == 2:
            raise EngineError("The model failed.")
        return "fine"

    talk.engine.script = script
    talk("One", "/retry", "Two")
    assert "user: One|assistant: fine|user: Two" in talk.prompt


def test_undo_takes_the_last_message_back_to_be_edited(talk: Talk) -> None:
    talk("One", "Two", "/undo", "Three")
    assert talk.drafts[3] == "Two"
    assert "One" in talk.prompt
    assert "Two" not in talk.prompt


@pytest.mark.parametrize("command", ["/undo", "/retry"])
def test_without_a_message_there_is_nothing_to_undo_or_retry(talk: Talk, command: str) -> None:
    assert talk(command).notes == "There is no message yet.\n"


def test_the_system_prompt_is_shown_set_and_taken_away(talk: Talk) -> None:
    talk("/system", "/system Speak in rhymes.", "Hi", "/system off", "/system", "Hi")
    assert talk.notes.startswith("Be brief.\n")
    assert "There is no system prompt." in talk.notes
    assert talk.engine.prompts[0].startswith("system: Speak in rhymes.")
    assert talk.engine.prompts[1].startswith("user: Hi")


def test_a_saved_conversation_is_gone_on_with(talk: Talk, tmp_path: Path) -> None:
    file = str(tmp_path / "my talk.json")
    talk("/system Rhyme.", "日本 🙂", f"/save {file}", f"/save {file}")
    assert json.loads(Path(file).read_text("utf-8")) == [
        {"role": "system", "content": "Rhyme."},
        {"role": "user", "content": "日本 🙂"},
        {"role": "assistant", "content": "You said: 日本 🙂"},
    ]
    assert talk.terminal.faultless, "a saved conversation may be saved over"
    talk("Other", f"/load {file}", "Again")
    assert talk.prompt == (
        "system: Rhyme.|user: 日本 🙂|assistant: You said: 日本 🙂|user: Again|assistant: "
    )


def test_a_conversation_of_another_program_is_gone_on_with(talk: Talk, tmp_path: Path) -> None:
    file = tmp_path / "conversations.json"
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "Rhyme."}]},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": [{"type": "text", "text": "One"}]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "assistant", "content": "Two"},
    ]
    file.write_text(json.dumps([{"model": "m", "messages": messages}, {"messages": []}]), "utf-16")
    talk(f"/load {file}", "Again", "/save " + str(tmp_path / "talk.md"))
    assert talk.prompt == (
        "system: Rhyme.|assistant: Hello!|user: One|assistant: Two|user: Again|assistant: "
    )
    assert "Took 1 of 2 conversations; 1 holds no text; 1 message without text was" in talk.notes
    assert "Loaded 3 messages." in talk.notes
    assert (tmp_path / "talk.md").read_text("utf-8") == (
        "# talk\n\n## System\n\nRhyme.\n\n## Assistant\n\nHello!\n\n## User\n\nOne\n\n"
        "## Assistant\n\nTwo\n\n## User\n\nAgain\n\n## Assistant\n\nYou said: Again\n"
    )


def test_a_bad_file_leaves_the_conversation_as_it_was(talk: Talk, tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_text("[]x")
    talk("Hi", f"/load {file}", "Again", quiet=True)
    assert talk.notes == f"{file} is not JSON in UTF-8.\n"
    assert "user: Hi|" in talk.prompt


def test_a_loaded_greeting_of_the_assistants_is_kept(talk: Talk, tmp_path: Path) -> None:
    file = tmp_path / "greeting.json"
    file.write_text(json.dumps([{"role": "assistant", "content": "Welcome!"}]))
    talk(f"/load {file}", "/retry", "/undo", "Hi", "/undo", "Hey", f"/save {file}2")
    assert talk.notes.count("There is no message yet.") == 2
    assert talk.prompt.startswith("assistant: Welcome!|user: Hey|")
    assert json.loads(Path(f"{file}2").read_text("utf-8"))[0]["content"] == "Welcome!"


class Interrupted(ScriptedEngine):
    """At its first reply Ctrl-C is pressed, so many times, after `said`."""

    def __init__(self, said: str, times: int = 1) -> None:
        super().__init__()
        self.said, self.times = said, times

    async def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int] = (),
        session: str = "",
    ) -> AsyncGenerator[list[int]]:
        first = not self.prompts
        async for ids in super().generate(prompt, sampling):
            if first:
                yield [ord(letter) for letter in self.said]
                for _ in range(self.times):
                    signal.raise_signal(signal.SIGINT)
                await asyncio.sleep(60)  # where it is cancelled
            yield ids


@pytest.mark.parametrize(
    ("said", "screen", "note", "draft", "prompt"),
    [
        ("Wel", "Wel\n", "Stopped: 3 tokens", "", "user: Hi|assistant: Wel|user: Again|"),
        ("", "", "Stopped before the first word", "Hi", "Be brief.|user: Again|"),
    ],
)
def test_ctrl_c_stops_the_reply_alone(
    talk: Talk, said: str, screen: str, note: str, draft: str, prompt: str
) -> None:
    talk.engine = Interrupted(said)
    talk("Hi", "Again", live=True)
    erased = re.sub(r"\r\x1b\[K(Reading[^\r]*)?", "", talk.screen)
    assert erased == f"{screen}You said: Again\n"
    assert note in talk.notes
    assert talk.drafts[1] == draft
    assert prompt in talk.prompt
    assert talk.engine.active == 0


def test_a_second_ctrl_c_leaves_while_the_first_is_still_at_work(talk: Talk) -> None:
    talk.engine = Interrupted("Wel", times=2)
    with pytest.raises(KeyboardInterrupt):
        talk("Hi", "Again", live=True)
    assert talk.unread == ["Again"]


def test_ctrl_c_leaves_where_nobody_watches(talk: Talk) -> None:
    talk.engine = Interrupted("Wel")
    with pytest.raises(KeyboardInterrupt):
        talk("Hi", "Again", live=False)
    assert talk.screen == "Wel\n"


def test_what_a_terminal_sends_that_is_no_text_can_be_saved(talk: Talk, tmp_path: Path) -> None:
    """A Latin-1 terminal sends bytes that are no UTF-8, which prompt_toolkit keeps as halves."""
    file = tmp_path / "talk.json"
    talk("/system Gr\udcfc\udcdfe", "Zw\udcf6lf", f"/save {file}")
    assert talk.terminal.faultless
    said = [entry["content"] for entry in json.loads(file.read_text("utf-8"))]
    assert said == ["Gr\ufffd\ufffde", "Zw\ufffdlf", "You said: Zw\ufffdlf"]
