"""chat.web.page.history: the conversation as the page has it."""

import pytest

from chat.web.page.history import entry, last_reply, split_last

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
