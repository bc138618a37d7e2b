"""chat.core.stops: a reply ends before a stop string, wherever it is cut, and after a stop id."""

from hypothesis import given
from hypothesis import strategies as st

from chat.core.stops import Stops

WORDS = st.text("ab\n", min_size=1, max_size=4)


def test_what_may_become_a_stop_string_is_held_back() -> None:
    stops = Stops(["###", "User:"])
    assert stops.cut("Hello #") == "Hello "
    assert stops.cut("Hello # Us") == "Hello # "
    assert stops.cut("Hello # Us all") == "Hello # Us all"
    assert not stops.found


def test_the_text_ends_before_the_stop_string_that_comes_first() -> None:
    stops = Stops(["###", "User:"])
    assert stops.cut("Hello User: ###") == "Hello "
    assert stops.found
    assert stops.by == "User:"


def test_without_stop_strings_all_is_shown() -> None:
    stops = Stops([])
    assert stops.cut("all of it") == "all of it"
    assert not stops.found


@given(text=st.text("ab\n", max_size=20), strings=st.lists(WORDS, max_size=3))
def test_however_a_text_grows_what_was_shown_stands_and_holds_no_stop_string(
    text: str, strings: list[str]
) -> None:
    stops, shown = Stops(strings), ""
    for end in range(len(text) + 1):
        cut = stops.cut(text[:end])
        assert cut.startswith(shown)
        assert not any(string in cut for string in strings)
        shown = cut
        if stops.found:
            break
    assert stops.found == any(string in text for string in strings)
    assert not stops.found or text.startswith(shown + stops.by)
