"""chat.core.export: what the page exports, read again."""

from typing import Any

import pytest
from pydantic import ValidationError

from chat.core.export import Conversation, File


@pytest.mark.parametrize(
    ("model", "content"),
    [
        (Conversation, {"messages": [[]] * 1000}),
        (File, {"format": "fourbit-chat", "version": 1, "conversations": [[]] * 1000}),
    ],
)
def test_the_first_fault_is_enough(model: type[Conversation | File], content: Any) -> None:
    """A file of lists alone has millions, which took gigabytes."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(content)
    assert caught.value.error_count() == 1
