"""Conversations as programs export them, and as people write them; each holds `RAIN`."""

from typing import Any

from chat.core.export import Exported
from chat.core.imports import take

S, U, A = "system", "user", "assistant"
RAIN = [(U, "A poem?"), (A, "Drops on the window.")]


def shown(conversation: Exported) -> list[tuple[str, str]]:
    return [(entry.role, entry.content) for entry in conversation.messages]


def only(content: Any) -> list[tuple[str, str]]:
    (conversation,) = take(content).conversations
    return shown(conversation)


def entries(*said: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in said]


# What programs write.
REQUEST = {"model": "any", "messages": entries(*RAIN), "temperature": 0, "stream": True}
SHAREGPT = {
    "id": "x1",
    "conversations": [
        {"from": "human", "value": "A poem?"},
        {"from": "gpt", "value": "Drops on the window.", "weight": 1},
    ],
}


def chatgpt(*nodes: tuple[str, str | None, Any], current: Any = None, **more: Any) -> Any:
    """Return a conversation as ChatGPT exports it; a node is its id, its parent and its message."""
    children: dict[str | None, list[str]] = {}
    for id, parent, _ in nodes:
        children.setdefault(parent, []).append(id)
    return {
        "title": "Rain",
        "create_time": 1700000000.5,
        "update_time": 1700000100.5,
        "mapping": {
            id: {"id": id, "parent": parent, "children": children.get(id, []), "message": message}
            for id, parent, message in nodes
        },
        "current_node": current,
        "conversation_id": "c",
        **more,
    }


def part(role: str, *parts: Any, **more: Any) -> Any:
    return {
        "author": {"role": role, "name": None, "metadata": {}},
        "create_time": 1700000000.5,
        "content": {"content_type": "text", "parts": list(parts)},
        "weight": 1.0,
        "metadata": {},
        "recipient": "all",
        **more,
    }


HIDDEN = {"is_visually_hidden_from_conversation": True}
CHATGPT = chatgpt(
    ("root", None, None),
    ("s", "root", part("system", "", metadata=HIDDEN)),
    ("old", "s", part(U, "A poem?")),
    ("old2", "old", part(A, "Roses are red.")),
    ("u", "s", part(U, "A poem?")),
    ("call", "u", part(A, '{"query": "rain"}', recipient="browser")),
    ("tool", "call", part("tool", "Results")),
    ("a", "tool", part(A, "Drops on the window.")),
    current="a",
)
OPEN_WEBUI = {
    "id": "1",
    "user_id": "2",
    "title": "Rain",
    "updated_at": 1700000100,
    "chat": {
        "title": "Rain",
        "models": ["llama"],
        "params": {},
        "messages": [],
        "history": {
            "currentId": "b",
            "messages": {
                "a": {"id": "a", "parentId": None, "childrenIds": ["x", "b"], "role": U}
                | {"content": "A poem?"},
                "x": {"id": "x", "parentId": "a", "role": A, "content": "No."},
                "b": {"id": "b", "parentId": "a", "role": A, "content": "Drops on the window."},
            },
        },
    },
}
LLAMA_CPP = {
    "conv": {"id": "1", "name": "Rain", "currNode": "b", "lastModified": 1700000100000},
    "messages": [
        {"id": "r", "type": "root", "role": "system", "content": "", "parent": None},
        {"id": "a", "type": "text", "role": U, "content": "A poem?", "parent": "r"},
        {"id": "x", "type": "text", "role": A, "content": "No.", "parent": "a"},
        {"id": "b", "type": "text", "role": A, "content": "Drops on the window.", "parent": "a"},
    ],
}
LIBRECHAT = {
    "conversationId": "1",
    "endpoint": "openAI",
    "title": "Rain",
    "exportAt": "10:00:00 GMT",
    "branches": True,
    "recursive": False,
    "options": {"presetId": None, "model": "m"},
    "messages": [
        {"messageId": "a", "parentMessageId": "0-0", "sender": "User", "isCreatedByUser": True}
        | {"text": "A poem?", "createdAt": "2023-11-14T22:13:20Z"},
        {"messageId": "x", "parentMessageId": "a", "sender": "GPT-4", "isCreatedByUser": False}
        | {"text": "No."},
        {"messageId": "b", "parentMessageId": "a", "sender": "GPT-4", "isCreatedByUser": False}
        | {"text": "", "content": [{"type": "think", "think": "Hm."}]}
        | {"createdAt": "2023-11-14T22:15:00.500Z"},
    ],
}
LIBRECHAT["messages"][2]["content"] += [  # type: ignore[index]
    {"type": "text", "text": {"value": "Drops on the window."}}
]
CLAUDE = {
    "uuid": "1",
    "name": "Rain",
    "updated_at": "2023-11-14T22:15:00.500000Z",
    "chat_messages": [
        {"uuid": "a", "sender": "human", "text": "A poem?", "content": []},
        {"uuid": "b", "sender": "assistant", "text": "", "content": []}
        | {"content": [{"type": "text", "text": "Drops on the window."}]},
    ],
}
DEEPSEEK = {
    "id": "1",
    "title": "Rain",
    "updated_at": "2023-11-14T22:15:00.500000Z",
    "mapping": {
        "root": {"id": "root", "parent": None, "children": ["1"], "message": None},
        "1": {"id": "1", "parent": "root", "children": ["2", "3"]}
        | {"message": {"fragments": [{"type": "REQUEST", "content": "A poem?"}]}},
        "2": {"id": "2", "parent": "1", "children": []}
        | {"message": {"fragments": [{"type": "RESPONSE", "content": "No."}]}},
        "3": {"id": "3", "parent": "1", "children": []}
        | {
            "message": {
                "fragments": [
                    {"type": "THINK", "content": "Hm."},
                    {"type": "RESPONSE", "content": "Drops on the window."},
                ]
            }
        },
    },
}
OURS = {
    "format": "fourbit-chat",
    "version": 1,
    "conversations": [{"title": "Rain", "saved": "2023-11-14T22:15:00.5Z"}],
}
OURS["conversations"][0]["messages"] = entries(*RAIN)  # type: ignore[index]
WRITTEN = {
    "list": entries(*RAIN),
    "request": REQUEST,
    "ShareGPT": SHAREGPT,
    "ChatGPT": CHATGPT,
    "Open WebUI": OPEN_WEBUI,
    "LibreChat": LIBRECHAT,
    "llama.cpp": LLAMA_CPP,
    "Claude": CLAUDE,
    "DeepSeek": DEEPSEEK,
    "ours": OURS,
}
