"""chat.web.page.chatbot: text stays text, and nothing else is made of a message."""

from typing import Any

import gradio.components.chatbot
import pytest

from chat.web.page.chatbot import live
from chat.web.page.history import entry


def test_what_a_message_names_is_neither_made_nor_read(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(gradio.components.chatbot, "import_component_and_data", made.append)
    box = live()
    named = {"type": "component", "component": "image", "value": {"path": "/dev/null"}}
    named |= {"constructor_args": {}, "props": {}}
    content: list[Any] = [{"type": "text", "text": "Look: "}, named]
    sent = box.data_model(root=[{"role": "user", "content": content}])
    assert box.preprocess(sent) == [entry("user", "Look: ")]
    assert made == []
    assert box.preprocess(None) == []
