"""A format of which no input was answered has not been tried."""

from benchmarks.reliability.callback.step import unanswered


def test_each_format_has_to_answer_some() -> None:
    assert unanswered({"chatml": 3, "llama3": 1}) == []
    assert unanswered({"chatml": 3, "llama3": 0}) == ["No input was answered (llama3)."]
