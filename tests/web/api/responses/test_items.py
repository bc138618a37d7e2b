"""chat.web.api.responses.items: messages become items, and items messages again."""

from pydantic import TypeAdapter

from chat.web.api.messages import conversation_in
from chat.web.api.responses.items import OneItem, items_of, messages_in
from prompts import Call, Message

ITEMS: TypeAdapter[list[OneItem]] = TypeAdapter(list[OneItem])
MESSAGES = [
    Message("system", "Rhyme."),
    Message("user", "hi"),
    Message("assistant", "Let me see.", (Call("add", "{}", "1"), Call("sub", '{"a": 1}', "2"))),
    Message("tool", "2", name="add", call_id="1"),
    Message("tool", "3", name="sub", call_id="2"),
    Message("assistant", "", (Call("add", "{}", "3"),)),
    Message("tool", "", name="add", call_id="3"),
    Message("assistant", "Five."),
    Message("user", "again"),
]


def test_messages_are_the_same_after_they_were_items() -> None:
    items = list(items_of(MESSAGES, "a"))
    assert len({item["id"] for item in items}) == len(items) == 11
    read = list(messages_in(ITEMS.validate_python(items)))
    assert list(conversation_in(read, "", tooled=True).messages) == MESSAGES


def test_a_summary_of_what_was_thought_is_left_out() -> None:
    thought = {"type": "reasoning", "id": "1", "summary": [{"type": "summary_text", "text": "a"}]}
    assert list(messages_in(ITEMS.validate_python([thought]))) == []


def test_a_thought_is_the_assistants() -> None:
    said = Message("assistant", "Yes.", (Call("f", "{}", "1"),), thought="Rome is warm.")
    told = [Message("user", "hi"), said, Message("tool", "2", name="f", call_id="1")]
    items = list(items_of(told, "a"))
    kinds = [item["type"] for item in items[1:-1]]
    assert kinds == ["reasoning", "message", "function_call"]
    read = list(messages_in(ITEMS.validate_python(items)))
    assert list(conversation_in(read, "", tooled=True).messages) == told
