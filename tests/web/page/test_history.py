"""chat.web.page.history: the conversation as the page has it."""

import pytest

from chat.web.page.history import NO_THOUGHT, Thought, entry, last_reply, last_thought, split_last

YOU, ME = "user", "assistant"


@pytest.mark.parametrize(
    ("said", "before", "message"),
    [
        ([], 0, ""),
        ([(YOU, "a")], 0, "a"),
        ([(YOU, "a"), (ME, "b")], 0, "a"),
        ([(YOU, "a"), (ME, "b"), (YOU, "c"), (ME, "d")], 2, "c"),
        ([(YOU, "a"), (ME, "b"), (YOU, "c"), (YOU, "d"), (ME, "e"), (ME, "f")], 2, "c\n\nd"),
        ([(ME, "b")], 0, ""),
    ],
)
def test_the_last_message_and_what_is_before_it(
    said: list[tuple[str, str]], before: int, message: str
) -> None:
    history = [entry(role, text) for role, text in said]
    assert split_last(history) == (history[:before], message)


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ([], ""),
        ([(YOU, "a")], ""),
        ([(YOU, "a"), (ME, "  b")], "  b"),
        ([(YOU, "a"), (ME, " \n")], ""),
    ],
)
def test_the_last_reply_keeps_its_indentation(said: list[tuple[str, str]], reply: str) -> None:
    assert last_reply([entry(role, text) for role, text in said]) == reply


def test_a_thought_belongs_to_its_reply() -> None:
    thought = Thought("Hm.", 1.5, 9)
    history = [entry(YOU, "a"), entry(ME, "b", thought), entry(YOU, "c"), entry(ME, "", thought)]
    assert split_last(history) == (history[:2], "c")
    assert last_thought(history) == thought
    assert last_reply(history) == ""
    assert last_thought(history[:1]) == last_thought([]) == NO_THOUGHT
