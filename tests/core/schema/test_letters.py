"""chat.core.schema.letters: classes of letters."""

from itertools import product

import pytest

from chat.core.schema.letters import Range, without


def letters(ranges: list[Range]) -> list[int]:
    return sorted(code for first, last in ranges for code in range(first, last + 1))


def test_what_is_left_of_letters_is_in_no_hole() -> None:
    spans = [(first, last) for first in range(5) for last in range(first, 5)]
    for span, *holes in product([(0, 4), (1, 3), (2, 2)], spans, spans):
        left = set(letters([span])) - set(letters(holes))
        assert letters(without([span], holes)) == sorted(left), (span, holes)
    assert letters(without([(7, 9), (0, 3)], [(2, 7)])) == [0, 1, 8, 9]
    assert without([(0, 4)], []) == [(0, 4)]


@pytest.mark.timeout(20)
def test_many_holes_take_a_moment() -> None:
    holes = [(2 * number, 2 * number) for number in range(40_000)]
    assert len(without([(0, 0x10FFFF)], holes)) == 40_000
