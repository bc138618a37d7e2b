"""chat.errors: what the log may say of an unforeseen error."""

from chat.errors import describe


def fail(text: str) -> None:
    try:
        raise KeyError(text)
    except KeyError as error:
        raise ValueError(f"cannot read {text}") from error


def test_an_unforeseen_error_is_logged_with_its_place_and_never_with_its_text() -> None:
    try:
        fail("what someone wrote"[::-1])
    except ValueError as error:
        logged = describe(error)
    assert logged.startswith("ValueError at")
    assert "in fail" in logged
    assert "what someone wrote"[::-1] not in logged
