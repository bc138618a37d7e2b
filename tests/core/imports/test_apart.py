"""chat.core.imports.apart: files that anyone may have written, read with limits."""

import json
import time
from base64 import b64encode

import pytest

from chat.core.imports import apart, take
from chat.errors import BadRequest


def file(content: bytes, name: str = "talk.json") -> tuple[str, str]:
    return name, b64encode(content).decode()


def reply(content: str) -> bytes:
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": content}]
    return json.dumps(said).encode()


def test_what_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "PATIENCE", 0.01)
    with pytest.raises(BadRequest, match=r"^This file cannot be read: it would take too much"):
        apart.read([file(b"[]")], 1000)
    with pytest.raises(BadRequest, match=r"^These files cannot be read: "):
        apart.read([file(b"[]"), file(b"[]")], 1000)


def test_what_takes_too_much_memory_is_refused() -> None:
    nested = b"[" * 300 + b"]" * 300
    with pytest.raises(BadRequest, match=r"^This file cannot be read: it would take too much"):
        apart.read([file(b"[" + b",".join([nested] * 45_000) + b"]")], 1000)


@pytest.mark.parametrize(
    "begun", ['<details type="reasoning">', '<details type="reasoning"', "<think>", ":::thinking\n"]
)
@pytest.mark.parametrize("filling", [" ", "\n", "<summary>", "\n:::", "</details"])
def test_a_thought_without_an_end_takes_no_longer_than_its_length(begun: str, filling: str) -> None:
    started = time.thread_time()
    (taken,) = take(reply(begun + filling * (200_000 // len(filling)))).conversations
    assert time.thread_time() - started < 2
    assert taken.messages[1].role == "assistant"


def test_a_number_of_a_letter_may_have_any_length() -> None:
    escaped = f'<details type="reasoning">&gt; Hm &#{"9" * 5000};</details>Hi'
    (taken,) = take(reply(escaped)).conversations
    assert (taken.messages[1].content, taken.messages[1].reasoning_content[:7]) == ("Hi", "&gt; Hm")
