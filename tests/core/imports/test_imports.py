"""chat.core.imports: what people bring becomes conversations, and what does not is counted."""

import json
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chat.core import imports
from chat.core.export import Conversation
from chat.core.imports import MOST, sentence, take
from chat.errors import BadRequest

S, U, A = "system", "user", "assistant"
RAIN = [(U, "A poem?"), (A, "Drops on the window.")]


def shown(conversation: Conversation) -> list[tuple[str, str]]:
    return [(entry.role, entry.content) for entry in conversation.messages]


def only(content: Any) -> list[tuple[str, str]]:
    (conversation,) = take(content).conversations
    return shown(conversation)


def entries(*said: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in said]


# What programs write. Each holds RAIN.
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
    "Claude": CLAUDE,
    "DeepSeek": DEEPSEEK,
    "ours": OURS,
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_programs_write_is_taken(name: str) -> None:
    content = WRITTEN[name]
    assert only(content) == RAIN
    if name != "ours":
        assert only([content]) == RAIN
        several = take([content, content])
        assert [shown(one) for one in several.conversations] == [RAIN, RAIN]
        assert several.sentence.startswith("Took 2 conversations")


@pytest.mark.parametrize(
    "name", ["ChatGPT", "Open WebUI", "LibreChat", "Claude", "DeepSeek", "ours"]
)
def test_titles_and_times_are_taken_too(name: str) -> None:
    (conversation,) = take(WRITTEN[name]).conversations
    assert conversation.title == "Rain"
    assert conversation.saved
    assert int(conversation.saved.timestamp()) == 1700000100


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (1700000100, "2023-11-14T22:15:00+00:00"),
        (1700000100000, "2023-11-14T22:15:00+00:00"),
        ("2023-11-14T22:15:00Z", "2023-11-14T22:15:00+00:00"),
        ("2023-11-14T22:15:00", "2023-11-14T22:15:00+00:00"),
        ("2023-11-14T22:15:00+01:00", "2023-11-14T22:15:00+01:00"),
        *((junk, None) for junk in ("soon", "", None, True, [], {}, 1e308, 10**400, -(10**20))),
        *((junk, None) for junk in (float("nan"), float("inf"), "9999-99-99")),
    ],
)
def test_a_time_that_cannot_be_read_is_none(time: Any, expected: str | None) -> None:
    (conversation,) = take({**CLAUDE, "updated_at": time}).conversations
    assert (conversation.saved and conversation.saved.isoformat()) == expected


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_file_may_be_in_utf_16_and_begin_with_a_mark(name: str, encoding: str) -> None:
    text = json.dumps(WRITTEN[name]).replace("A poem?", "Ein 日本-Gedicht? 🙂")
    assert only(text.encode(encoding)) == [(U, "Ein 日本-Gedicht? 🙂"), RAIN[1]]


@pytest.mark.parametrize("name", sorted(WRITTEN.keys() - {"list"}))
def test_each_line_may_be_a_conversation(name: str) -> None:
    lines = "\n".join([json.dumps(WRITTEN[name])] * 3) + "\r\n\n"
    assert [shown(one) for one in take(lines.encode()).conversations] == [RAIN] * 3


def test_each_line_may_be_a_list_of_messages_or_a_message() -> None:
    lists = "\n".join([json.dumps(entries(*RAIN))] * 2)
    assert [shown(one) for one in take(lists.encode()).conversations] == [RAIN] * 2
    assert only("\n".join(map(json.dumps, entries(*RAIN))).encode()) == RAIN
    unicode_lines = json.dumps(entries((U, "a\u2028b\x85c"), RAIN[1]), ensure_ascii=False)
    taken = take(f"{unicode_lines}\n{unicode_lines}".encode())
    assert shown(taken.conversations[0])[0] == (U, "a\u2028bc")


def test_a_line_that_is_not_json_is_left_out_and_said() -> None:
    line = json.dumps(REQUEST)
    taken = take(f"{line}\n{line[:-9]}\n{line}".encode())
    assert taken.sentence == "Took 2 of 3 conversations; 1 cannot be read."


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (entries((S, "Rhyme."), *RAIN), [(S, "Rhyme."), *RAIN]),
        (entries(("developer", "Rhyme."), *RAIN), [(S, "Rhyme."), *RAIN]),
        (entries((S, "Rhyme."), (S, "Be brief."), *RAIN), [(S, "Rhyme.\n\nBe brief."), *RAIN]),
        (entries(*RAIN, (S, "Rhyme.")), [(S, "Rhyme."), *RAIN]),
        (entries((A, "Hello!"), *RAIN), [(A, "Hello!"), *RAIN]),
        (entries((S, "Rhyme."), (A, "Hello!"), *RAIN), [(S, "Rhyme."), (A, "Hello!"), *RAIN]),
        (entries((U, "a"), (U, "b"), (A, "c"), (A, "d")), [(U, "a\n\nb"), (A, "c\n\nd")]),
        (entries((U, ["A ", "poem?"]), RAIN[1]), RAIN),
        (entries((U, [{"type": "text", "text": "A poem?"}]), RAIN[1]), RAIN),
        (entries((U, [{"type": "input_text", "text": "A poem?"}]), RAIN[1]), RAIN),
        (
            entries(RAIN[0], (A, [{"type": "output_text", "text": RAIN[1][1], "annotations": []}])),
            RAIN,
        ),
        (
            entries(
                (U, [{"type": "image_url", "image_url": {"url": "data:,"}}, "A poem?"]), RAIN[1]
            ),
            RAIN,
        ),
        (entries((U, {"type": "text", "text": "A poem?"}), RAIN[1]), RAIN),
        (entries((U, "  A poem?\r\n\x00"), RAIN[1]), [(U, "  A poem?\n"), RAIN[1]]),
        (entries(("USER", "A poem?"), ("Assistant", RAIN[1][1])), RAIN),
        (
            [{"role": U, "parts": [{"type": "text", "text": "A poem?"}]}, *entries(RAIN[1])],
            RAIN,
        ),
        (
            [{"role": U, "parts": [{"text": "A poem?"}]}, {"role": "model", "content": RAIN[1][1]}],
            RAIN,
        ),
    ],
)
def test_messages_come_in_many_forms(messages: Any, expected: Any) -> None:
    assert only(messages) == expected
    assert only({"messages": messages}) == expected


@pytest.mark.parametrize(
    "more",
    [
        {"role": "tool", "content": "22 °C", "tool_call_id": "1"},
        {"role": "function", "name": "f", "content": "{}"},
        {"role": A, "content": None, "tool_calls": [{"id": "1"}]},
        {"role": A, "tool_calls": [{"id": "1"}]},
        {"role": U, "content": None},
        {"role": U, "content": ""},
        {"role": U, "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]},
        {"from": "function_call", "value": "{}"},
        {"from": "observation", "value": "{}"},
    ],
)
def test_what_is_no_text_of_anyones_is_left_out_and_said(more: Any) -> None:
    taken = take([*entries(RAIN[0]), more, *entries(RAIN[1])])
    assert shown(taken.conversations[0]) == RAIN
    assert taken.sentence == "Took 1 conversation; 1 message without text was left out."


def thought(content: Any) -> list[tuple[str, str, str]]:
    (conversation,) = take(content).conversations
    return [(one.role, one.content, one.reasoning_content) for one in conversation.messages]


SAID = "Drops on the window."
DETAILS = '<details type="reasoning" done="true" duration="2">\n<summary>Thought</summary>\n'
THINKING = {
    "OpenAI's shape": {"role": A, "content": SAID, "reasoning_content": "Hm.\n\nWet?"},
    "OpenRouter": {"role": A, "content": SAID, "reasoning": "Hm.\n\nWet?"},
    "Ollama": {"role": A, "content": SAID, "thinking": "Hm.\n\nWet?"},
    "Claude": {
        "role": A,
        "content": [
            {"type": "thinking", "thinking": "Hm.\n\nWet?", "signature": "x"},
            {"type": "text", "text": SAID},
        ],
    },
    "LibreChat": {
        "role": A,
        "content": [
            {"type": "think", "think": "Hm."},
            {"type": "think", "think": {"value": "Wet?"}},
            {"type": "text", "text": SAID},
        ],
    },
    "LibreChat, once": {"role": A, "content": f":::thinking\nHm.\n\nWet?\n:::\n\n{SAID}"},
    "Vercel": {
        "role": A,
        "parts": [
            {"type": "reasoning", "text": "Hm.\n\nWet?"},
            {"type": "text", "text": SAID},
        ],
    },
    "a summary": {
        "role": A,
        "content": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm.\n\nWet?"}]},
            {"type": "output_text", "text": SAID},
        ],
    },
    "Gemini": {
        "role": "model",
        "parts": [{"text": "Hm.\n\nWet?", "thought": True}, {"text": SAID}],
    },
    "tags": {"role": A, "content": f"<think>\nHm.\n\nWet?\n</think>\n\n{SAID}"},
    "other tags": {"role": A, "content": f" <thinking>Hm.\n\nWet?</thinking>{SAID}"},
    "Open WebUI": {"role": A, "content": f"{DETAILS}> Hm.\n> \n> Wet?\n</details>\n{SAID}"},
    "Open WebUI, later": {
        "role": A,
        "content": f"{DETAILS}&gt; Hm.\n&gt; \n&gt; Wet?\n</details>\n{SAID}",
    },
}


@pytest.mark.parametrize("name", THINKING)
def test_what_was_thought_is_kept_apart_from_what_was_said(name: str) -> None:
    talk = [*entries(RAIN[0]), THINKING[name]]
    assert thought(talk) == [(*RAIN[0], ""), (A, SAID, "Hm.\n\nWet?")]
    assert take(talk).sentence == "Took 1 conversation."


@pytest.mark.parametrize("form", ["thinking", "reasoning"])
def test_a_thought_alone_is_that_of_the_reply_after_it(form: str) -> None:
    alone = {"role": A, "content": [{"type": form, form: "Hm."}]}
    assert thought([*entries(RAIN[0]), alone, *entries(RAIN[1])])[1] == (A, SAID, "Hm.")
    assert thought([*entries(RAIN[0]), alone])[1] == (A, "", "Hm.")


@pytest.mark.parametrize(
    "said",
    [
        (U, "<think>Hm.</think>Hello"),
        (A, "Write <think>Hm.</think> first."),
        (A, "<think>Hm."),
        (A, "```\n<think>Hm.</think>\n```"),
        (S, ":::thinking\nHm.\n:::\nHello"),
    ],
)
def test_tags_that_no_reply_begins_with_are_text(said: tuple[str, str]) -> None:
    other = A if said[0] == U else U
    assert (*said, "") in thought(entries((other, "Go on."), said))


@pytest.mark.parametrize("name", ["LibreChat", "DeepSeek"])
def test_what_programs_wrote_of_thoughts_is_taken(name: str) -> None:
    assert thought(WRITTEN[name]) == [(*RAIN[0], ""), (*RAIN[1], "Hm.")]


@pytest.mark.parametrize(
    "said",
    [
        '<details type="reasoning" ' * 200_000,
        '<details type="reasoning"><summary></summary>' * 100_000,
        ":::thinking" + "\n" * 1_000_000,
        "<think>" * 500_000,
        "\n" * 1_000_000 + "x",
    ],
)
def test_marks_that_nothing_ends_take_no_time(said: str) -> None:
    start = time.process_time()
    assert thought(entries((U, "a"), (A, said)))[1] == (A, said, "")
    assert time.process_time() - start < 3


def test_thoughts_of_chatgpt_are_messages_of_their_own() -> None:
    summaries = [{"summary": "Weather", "content": "Hm."}, {"summary": "", "content": "Wet?"}, 5]
    thoughts = part(A) | {"content": {"content_type": "thoughts", "thoughts": summaries}}
    recap = part(A) | {"content": {"content_type": "reasoning_recap", "content": "For 2 s"}}
    content = chatgpt(
        ("u", None, part(U, "A poem?")),
        ("t", "u", thoughts),
        ("r", "t", recap),
        ("a", "r", part(A, SAID)),
        current="a",
    )
    assert thought(content) == [(*RAIN[0], ""), (A, SAID, "Weather\n\nHm.\n\nWet?")]
    assert take(content).sentence == "Took 1 conversation."


@pytest.mark.parametrize(
    ("content", "system"),
    [
        ({**REQUEST, "system": "Rhyme."}, "Rhyme."),
        ({**REQUEST, "system": [{"type": "text", "text": "Rhyme."}]}, "Rhyme."),
        ({"instructions": "Rhyme.", "input": entries(*RAIN)}, "Rhyme."),
        (
            {"contents": [{"role": U, "parts": [{"text": "A poem?"}]},
                          {"role": "model", "parts": [{"text": RAIN[1][1]}]}],
             "systemInstruction": {"parts": [{"text": "Rhyme."}]}},
            "Rhyme.",
        ),
        ({**SHAREGPT, "system": "Rhyme."}, "Rhyme."),
        ({**SHAREGPT, "conversations": [{"from": "system", "value": "Rhyme."}]
          + SHAREGPT["conversations"]}, "Rhyme."),  # type: ignore[operator]
        ({**OPEN_WEBUI, "chat": {**OPEN_WEBUI["chat"], "params": {"system": "Rhyme."}}}, "Rhyme."),  # type: ignore[dict-item]
        ({**LIBRECHAT, "options": {"promptPrefix": "Rhyme."}}, "Rhyme."),
    ],
)  # fmt: skip
def test_a_system_prompt_is_kept_wherever_it_stands(content: Any, system: str) -> None:
    assert only(content) == [(S, system), *RAIN]


def test_a_request_may_be_a_text_or_a_line_of_a_batch() -> None:
    assert only({"model": "any", "input": "A poem?"}) == RAIN[:1]
    assert only({"custom_id": "1", "method": "POST", "body": REQUEST}) == RAIN


@pytest.mark.parametrize("key", ["items", "conversation", "conversations"])
def test_sharegpts_messages_have_several_names(key: str) -> None:
    assert only({key: SHAREGPT["conversations"]}) == RAIN
    assert only({"data": [{key: SHAREGPT["conversations"]}]}) == RAIN


def test_a_list_may_be_in_an_object() -> None:
    for key in ("conversations", "chats", "items", "data"):
        assert len(take({key: [CHATGPT, OPEN_WEBUI], "version": 3}).conversations) == 2


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, RAIN),
        ({"current_node": "old2"}, [(U, "A poem?"), (A, "Roses are red.")]),
        ({"current_node": "u"}, RAIN[:1]),
        ({"current_node": "nowhere"}, RAIN),
        ({"current_node": None}, RAIN),
        ({"current_node": 5, "title": None, "update_time": None}, RAIN),
    ],
)
def test_of_chatgpts_tree_the_branch_on_the_screen_is_taken(change: Any, expected: Any) -> None:
    assert only({**CHATGPT, **change}) == expected


def test_chatgpts_pictures_transcripts_and_hidden_messages() -> None:
    picture = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://x"}
    voice = {"content_type": "audio_transcription", "text": "Hello there", "direction": "in"}
    thoughts = part(A, content={"content_type": "thoughts", "thoughts": [{"content": "Hm."}]})
    content = chatgpt(
        ("s", None, part("system", "You are helpful.")),
        ("i", "s", part(U, "About me", metadata=HIDDEN)),
        ("w", "i", part(A, "Unweighted", weight=0.0)),
        ("u", "w", part(U, picture, "What is this?")),
        ("t", "u", thoughts),
        ("a", "t", part(A, "A cat.")),
        ("v", "a", part(U, voice)),
        ("p", "v", part(A, picture)),
        ("c", "p", part(A, content={"content_type": "code", "language": "py", "text": "1 + 1"})),
        current="c",
    )
    taken = take([content])
    assert shown(taken.conversations[0]) == [
        (S, "You are helpful."),
        (U, "What is this?"),
        (A, "A cat."),
        (U, "Hello there"),
        (A, "1 + 1"),
    ]
    assert taken.left == {"messages": 1}
    assert taken.conversations[0].messages[2].reasoning_content == "Hm."


def test_open_webuis_messages_without_a_history_are_taken() -> None:
    chat = {"title": "Rain", "messages": entries(*RAIN), "timestamp": 1700000100000}
    for content in (
        {"chat": chat},
        {"chat": {**chat, "history": {}}},
        {"chat": {**chat, "history": 1}},
    ):
        (conversation,) = take(content).conversations
        assert (conversation.title, shown(conversation)) == ("Rain", RAIN)
        assert conversation.saved
        assert int(conversation.saved.timestamp()) == 1700000100


def test_librechats_tree_may_be_nested_and_a_flat_list_is_taken_whole() -> None:
    first, other, last = LIBRECHAT["messages"]  # type: ignore[misc]
    nested = {**LIBRECHAT, "recursive": True, "messages": [{**first, "children": [other, last]}]}
    assert only(nested) == RAIN
    flat = {**LIBRECHAT, "messages": [first, last]}
    assert only(flat) == RAIN
    lost = {**LIBRECHAT, "messages": [first, {**last, "parentMessageId": "lost"}]}
    assert only(lost) == RAIN


def test_what_was_taken_and_what_was_not_is_one_sentence() -> None:
    empty, odd = {"messages": entries((U, " "))}, {"messages": [1]}
    assert take([REQUEST] * 12 + [empty] * 2).sentence == (
        "Took 12 of 14 conversations; 2 hold no text."
    )
    assert take([REQUEST, empty, odd, "x", None]).sentence == (
        "Took 1 of 5 conversations; 1 holds no text; 3 cannot be read."
    )
    assert take([REQUEST] * (MOST + 2)).sentence == (
        "Took 1,000 of 1,002 conversations; 2 are more than the 1,000 that are taken at once."
    )
    assert take(OURS | {"conversations": []}).sentence == "Took 0 conversations."
    assert sentence(1, {}) == "Took 1 conversation."
    assert sentence(2, {"messages": 3}) == (
        "Took 2 conversations; 3 messages without text were left out."
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([], "F holds no text."),
        (entries((S, "Rhyme.")), "F holds no text."),
        ([CHATGPT | {"mapping": {}}], "F holds no text."),
        (
            [{"messages": []}, {"messages": [5]}],
            "F holds no conversation that can be taken; 1 holds no text; 1 cannot be read.",
        ),
        ([{"role": "root", "content": "a"}], "F is no conversation and no export of some."),
        ({"messages": [{"role": U}]}, "F is no conversation and no export of some."),
        (entries((U, 5)), "F is no conversation and no export of some."),
        ({}, "F is no conversation and no export of some (format is at fault)."),
        ([1], "F is no conversation and no export of some (messages.0 is at fault)."),
        (None, "F is no conversation and no export of some."),
        (
            OURS | {"conversations": [{"messages": [{"role": "x", "content": ""}]}]},
            "F is no conversation and no export of some "
            "(conversations.0.messages.0.role is at fault).",
        ),
        (b"", "F is not JSON in UTF-8."),
        (b"x", "F is not JSON in UTF-8."),
        (b"[1", "F is not JSON in UTF-8."),
        (b"# Title\n\n## User\n", "F is not JSON in UTF-8."),
        (b'"Zw\xf6lf"', "F is not JSON in UTF-8."),
        (b"[" * 100_000, "F is not JSON in UTF-8."),
        (b"1" * 5000, "F is not JSON in UTF-8."),
        (b"1\n2", "F is no conversation and no export of some (messages.0 is at fault)."),
    ],
)
def test_what_holds_nothing_is_one_sentence(content: Any, expected: str) -> None:
    with pytest.raises(BadRequest) as caught:
        take(content, "F")
    assert str(caught.value) == expected


def test_a_huge_file_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "LARGEST", 10)
    with pytest.raises(BadRequest, match=r"^F is too large for a conversation\.$"):
        take(json.dumps(REQUEST).encode(), "F")


def test_a_tree_that_bites_its_tail_ends() -> None:
    ring = chatgpt(("a", "b", part(U, "A poem?")), ("b", "a", part(A, RAIN[1][1])), current="b")
    assert only(ring) == RAIN
    alone = chatgpt(("a", "a", part(U, "A poem?")), current="a")
    assert only(alone) == RAIN[:1]
    nodes = OPEN_WEBUI["chat"]["history"]["messages"]  # type: ignore[index]
    tail = {
        "chat": {
            "history": {
                "currentId": "b",
                "messages": {**nodes, "a": {**nodes["a"], "parentId": "b"}},
            }
        }
    }
    assert only(tail) == RAIN


def test_a_long_and_a_wide_tree_are_walked_in_a_moment() -> None:
    size = 100_000
    long = chatgpt(
        *((str(at), str(at - 1) if at else None, part((U, A)[at % 2], "x")) for at in range(size)),
        current=str(size - 1),
    )
    assert len(only(long)) == size
    wide = chatgpt(("r", None, None), *((str(at), "r", part(U, "x")) for at in range(size)))
    assert only(wide) == [(U, "x")]
    messages = [
        {"messageId": str(at), "parentMessageId": "r", "isCreatedByUser": True, "text": "x"}
        for at in range(size)
    ]
    assert only({"conversationId": "1", "messages": messages}) == [(U, "x")]
    nested: Any = []
    for _ in range(size):
        nested = [{"isCreatedByUser": True, "text": "x", "children": nested}]
    assert only({"conversationId": "1", "messages": nested}) == [(U, "\n\n".join("x" * size))]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = ["role", "from", "sender", "author", "content", "value", "text", "parts", "isCreatedByUser"]
KEYS += ["messages", "conversations", "items", "mapping", "current_node", "parent", "children"]
KEYS += [
    "message",
    "metadata",
    "weight",
    "recipient",
    "create_time",
    "update_time",
    "title",
    "chat",
]
KEYS += ["history", "currentId", "parentId", "params", "system", "options", "conversationId"]
KEYS += ["messageId", "parentMessageId", "chat_messages", "uuid", "name", "updated_at", "body"]
KEYS += ["input", "format", "version", "saved", "type", "a", "b"]
VALUES = [U, A, S, "tool", "root", "human", "gpt", "a", "b", "all", "text", "fourbit-chat", 1, "Hi"]
VALUES += ["2026-01-31", "0001-01-01T00:00:00+23:59", 1e308, 1700000000, -1e20, 10**400, True]
NEAR = st.recursive(
    st.sampled_from(VALUES) | JUNK,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=25,
)


def places(content: Any) -> list[tuple[Any, Any]]:
    """Return where in what was JSON something stands: each container and a key of it."""
    found, left = [], [content]
    while left:
        one = left.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one))
        found += [(one, key) for key in keys]
        left += [one[key] for key in keys if isinstance(one[key], dict | list)]
    return found


@st.composite
def spoiled(draw: st.DrawFn) -> Any:
    """Return what a program writes, with other things in some places."""
    content = json.loads(json.dumps(draw(st.sampled_from([*WRITTEN.values()]))))
    for _ in range(draw(st.integers(1, 3))):
        if where := places(content):
            container, key = draw(st.sampled_from(where))
            container[key] = draw(JUNK | st.sampled_from(VALUES))
    return draw(st.sampled_from([content, [content], [content, REQUEST]]))


@settings(deadline=None, max_examples=500)
@given(JUNK | NEAR | spoiled())
@example([{"role": U, "content": "\ud800"}])
@example({**CLAUDE, "name": "\ud800\x00\n", "updated_at": "0001-01-01T00:00:00+23:59"})
@example({**CHATGPT, "update_time": float("nan"), "mapping": {"a": {"parent": [], "message": {}}}})
def test_whatever_is_brought_is_refused_or_becomes_clean_conversations(content: Any) -> None:
    check(content)
    check(json.dumps(content).encode())
    check(b"\n".join([json.dumps(content).encode()] * 2))


@settings(deadline=None)
@given(st.binary(max_size=30) | st.text(max_size=20).map(str.encode))
def test_whatever_bytes_are_brought_are_refused_or_become_conversations(data: bytes) -> None:
    check(data)


def check(content: Any) -> None:
    try:
        taken = take(content)
    except BadRequest as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert refused.startswith("This file ")
        assert "\n" not in refused
        return
    assert taken.sentence.startswith("Took ")
    written = [conversation.model_dump(mode="json") for conversation in taken.conversations]
    for conversation in json.loads(json.dumps(written)):
        roles = [entry["role"] for entry in conversation["messages"]]
        dialogue = roles[S in roles[:1] :]
        assert dialogue
        assert S not in dialogue
        assert all(one != two for one, two in pairwise(dialogue))
        for entry in conversation["messages"]:
            assert (entry["content"] + entry.get("reasoning_content", "")).strip()
        assert "\x1b" not in str(conversation)
        assert conversation["title"] == " ".join(conversation["title"].split())
