"""chat.core.export: what the page exports, read again."""

from typing import Any

import pytest
from pydantic import ValidationError

from chat.core.export import Entry, Exported, File
from prompts import Message


@pytest.mark.parametrize(
    ("model", "content"),
    [
        (Exported, {"messages": [[]] * 1000}),
        (File, {"format": "fourbit-chat", "version": 1, "conversations": [[]] * 1000}),
    ],
)
def test_the_first_fault_is_enough(model: type[Exported | File], content: Any) -> None:
    """A file of lists alone has millions, which took gigabytes."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(content)
    assert caught.value.error_count() == 1


def test_a_thought_is_a_key_of_its_message_where_there_is_one() -> None:
    plain, thought = Message("user", "Hi"), Message("assistant", "Hello", thought="Hm.")
    written = [Entry(**message.entry).model_dump() for message in (plain, thought)]
    assert written == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello", "reasoning_content": "Hm."},
    ]
    assert [Entry(**entry).message for entry in written] == [plain, thought]
