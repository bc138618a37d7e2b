"""chat.core.imports: what people bring becomes conversations, and what does not is counted."""

import json
from typing import Any

import pytest

from chat.core import attached, imports
from chat.core.imports import MOST, sentence, take
from chat.errors import BadRequest
from tests.support.exports import (
    CHATGPT,
    CLAUDE,
    LIBRECHAT,
    OPEN_WEBUI,
    OURS,
    RAIN,
    REQUEST,
    SHAREGPT,
    WRITTEN,
    A,
    S,
    U,
    entries,
    only,
    shown,
)


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
    "name", ["ChatGPT", "Open WebUI", "LibreChat", "llama.cpp", "Claude", "DeepSeek", "ours"]
)
def test_titles_and_times_are_taken_too(name: str) -> None:
    (conversation,) = take(WRITTEN[name]).conversations
    assert conversation.title == "Rain"
    assert conversation.saved
    assert int(conversation.saved.timestamp()) == 1700000100


def test_chatgpts_marks_are_what_was_on_the_screen() -> None:
    said = (
        "It rains. \ue200cite\ue202turn0search3\ue202turn0search8\ue201 "
        '\ue200entity\ue202["people","Ada Lovelace",0]\ue201 wrote \ue203it\ue204. \ue200x'
    )
    message = {"author": {"role": A}, "content": {"content_type": "text", "parts": [said]}}
    asked = {"author": {"role": U}, "content": {"content_type": "text", "parts": ["A poem?"]}}
    nodes = {"a": {"message": asked}, "b": {"parent": "a", "message": message}}
    found = only({"mapping": nodes, "current_node": "b"})
    assert found[-1][-1] == "It rains. Ada Lovelace wrote it. \ue200x"


def test_items_between_messages_are_no_text_and_thoughts_are_thoughts() -> None:
    (found,) = take(
        {
            "input": [
                {"role": U, "content": "Rain?"},
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
                {"type": "function_call", "call_id": "c", "name": "w", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "sun"},
                {"role": A, "content": [{"type": "output_text", "text": "Sun."}]},
            ]
        }
    ).conversations
    assert [(one.role, one.content) for one in found.messages] == [(U, "Rain?"), (A, "Sun.")]
    assert found.messages[-1].reasoning_content == "Hm."


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
    assert shown(taken.conversations[0])[0] == (U, "a\u2028b\nc")


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


def test_what_claude_was_given_comes_before_the_message() -> None:
    question, answer = CLAUDE["chat_messages"]  # type: ignore[misc]
    files = [
        {"file_name": "rain.csv", "extracted_content": "year,rain\n2025,9"},
        {"file_name": "", "extracted_content": "```\nx\n```"},
        *({"file_name": "x.png"}, {"extracted_content": 5}, {"extracted_content": " "}, 5, None),
    ]
    said = only({**CLAUDE, "chat_messages": [{**question, "attachments": files}, answer]})
    assert said == [
        (
            U,
            "File: rain.csv\n```\nyear,rain\n2025,9\n```\n\n"
            "File: Pasted text\n````\n```\nx\n```\n````\n\nA poem?",
        ),
        RAIN[1],
    ]
    assert [one.title for one in attached.split(said[0][1])[0]] == ["rain.csv", "Pasted text"]
    for odd in (5, {}, None, [[]]):
        talk = {**CLAUDE, "chat_messages": [{**question, "attachments": odd}, answer]}
        assert only(talk) == RAIN


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
