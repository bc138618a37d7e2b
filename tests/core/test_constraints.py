"""chat.core.constraints: patterns in the plainest words."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.core.constraints import one_of, plain, searched

SAME = [
    ("yes|no", ["yes", "no"], ["maybe", "", "yesno"]),
    (r"\d{3}-[a-z]+", ["123-ab"], ["12-ab", "123-"]),
    (r"^(Paris|London)\.$", ["Paris."], ["Paris"]),
    (r"\w+\s\S+", ["a b-c"], ["a b c", " b"]),
    (r"a*b?c+", ["abc", "c", "aac"], ["ab"]),
    (r"[\]\-\\^a]{3}", ["]-a", "\\^a"], ["bbb"]),
    (r"[^a-z\n]{2}", ["AB"], ["ab", "A\n"]),
    (r"\$\(\)\{\}\|\/\.", ["$(){}|/."], ["$"]),
    ("日本|🙂", ["日本", "🙂"], ["日"]),
    (r"(?:ab){2,3}?", ["abab", "ababab"], ["ab"]),
    ("(a|a|a|a)*b", ["b", "aab"], ["a"]),
    ("(|a)b(|)()(c|)", ["ab", "b", "bc"], ["a"]),
    (r"(?P<name>x)\t\Wy", ["x\t-y"], ["x\tay"]),
    (r"^a|b$", ["a", "b"], ["ab"]),
    (r"\x41\101\u0041\N{BULLET}", ["AAA•"], ["A"]),
    (r"[a&&b]x", ["&x"], ["ax&"]),
]


@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")
@pytest.mark.parametrize(("pattern", "fits", "others"), SAME)
def test_the_plain_form_matches_what_the_pattern_matches(
    pattern: str, fits: list[str], others: list[str]
) -> None:
    for text in fits:
        assert re.fullmatch(pattern, text)
        assert re.fullmatch(plain(pattern), text), plain(pattern)
    for text in others:
        assert not re.fullmatch(pattern, text)
        assert not re.fullmatch(plain(pattern), text), plain(pattern)


PARTS = r"""
    a b 1 - . ^ $ | ( ) () (|a) (?:ab) (?P<n>b) * + ? {2} {,2} {1,2}? *? { {} \d \W [ab] [^a1] []a]
    [a-] [\d-] [\w.] [^\D] [[a] [a&&b] \. \x41 \101 \u0062 [a-\x64]
"""
TEXTS = "a b 1 - _ [ & { } A d ab aa a1 abab bb1 a{} {}"


@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")
@given(st.lists(st.sampled_from(re.findall(r"\S+", PARTS)), min_size=1, max_size=6).map("".join))
def test_any_pattern_means_the_same_in_its_plain_form_or_is_refused(pattern: str) -> None:
    try:
        written = plain(pattern)
    except ValueError:
        return
    for text in ["", "\n", *TEXTS.split(" ")]:
        same = re.fullmatch(pattern, text, re.ASCII), re.fullmatch(written, text)
        assert bool(same[0]) == bool(same[1]), (written, text)


@given(st.lists(st.text(min_size=1).filter(str.isprintable), min_size=1, max_size=4), st.text())
def test_choices_match_themselves_and_nothing_else(choices: list[str], other: str) -> None:
    pattern = one_of(tuple(choices))
    assert all(re.fullmatch(pattern, choice) for choice in choices)
    assert bool(re.fullmatch(pattern, other)) == (other in choices)


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "a{3,2}", "(?P<x", "a{99999999999999999999}"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"^is not a regular expression$"):
        plain(pattern)


@pytest.mark.parametrize(
    "pattern",
    [r"(?=a)b", r"(?<!a)b", r"(a)\1", r"a\bb", r"(?i:a)", "(?i)a", "a^b", r"(?>a)b", r"a++"],
)
def test_what_engines_do_not_agree_on_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"which is not offered$"):
        plain(pattern)


@pytest.mark.parametrize("pattern", ["(a{20}){20}", "((a{18}){18})*", "(a|b{301})", "a?" * 301])
def test_what_grows_too_large_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"^repeats too much$"):
        plain(pattern)


@pytest.mark.parametrize("pattern", ["", "^$"])
def test_what_leaves_nothing_to_say_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"^matches only an empty reply$"):
        plain(pattern)


@pytest.mark.parametrize("letter", ["\x00", "\x7f", "\x85", "\ud800", "\u202e", "\u2067"])
def test_a_control_character_is_refused(letter: str) -> None:
    for read in (plain, lambda text: one_of((text,))):
        with pytest.raises(ValueError, match="control character"):
            read(f"a{letter}")


@pytest.mark.parametrize(
    "text",
    [
        "👨\u200d👩\u200d👧",
        "می\u200cخواهم",
        "全\u3000角",
        "10\xa0km",
        "a\xadb",
        "\ufeff",
        "ק\u200f",
    ],
)
def test_what_joins_letters_or_is_a_wide_space_is_none(text: str) -> None:
    assert re.fullmatch(plain(text), text)
    assert re.fullmatch(one_of((text,)), text)


@pytest.mark.parametrize(
    ("pattern", "fits", "others"),
    [
        ("b", ["b", "abc", "a\nb\n"], ["a", ""]),
        ("^b", ["b", "bc"], ["ab"]),
        ("b$", ["b", "ab"], ["bc"]),
        ("^a|b$", ["ac", "cb", "ab"], ["ba", "c"]),
        ("^(a|b)$", ["a", "b"], ["ab", "ac"]),
        ("[$|^]", ["x|y", "^", "$"], ["a"]),
    ],
)
def test_a_pattern_that_is_searched_for_may_be_anywhere(
    pattern: str, fits: list[str], others: list[str]
) -> None:
    for text in [*fits, *others]:
        assert bool(re.fullmatch(plain(searched(pattern)), text)) == (text in fits)


@pytest.mark.parametrize("begun", ["[", "(?#[", "([", "[]"])
@pytest.mark.parametrize("letter", [r"\xab", r"\u0041b", r"\011", r"\N{ab}"])
def test_a_class_that_nothing_ends_takes_no_time(begun: str, letter: str) -> None:
    """Each of its letters could be read in two ways, all of them in more than can be counted."""
    start = time.process_time()
    pattern = begun + letter * 200
    assert searched(pattern)
    with pytest.raises(ValueError, match="is not a regular expression"):
        plain(pattern)
    assert time.process_time() - start < 5
