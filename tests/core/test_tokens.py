"""chat.core.tokens: text to ids, in which nobody can forge a control token, and ids to text."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, normalizers

from chat.core.tokens import FastTokens
from prompts import Control, PromptError, Reply, control_tokens
from tests.support.examples import some
from tests.support.tiny import chatml_tokenizer, llama2_tokenizer, unigram_tokenizer

TOKENIZERS = {
    "chatml": chatml_tokenizer(),
    "llama2": llama2_tokenizer(),
    "unigram": unigram_tokenizer(),
}
TOKENS = {name: FastTokens(tokenizer) for name, tokenizer in TOKENIZERS.items()}
# What cannot be encoded becomes "unknown" whoever wrote it; it ends and begins nothing.
CAN_BE_UNKNOWN = {("unigram", "<unk>")}
CONTROLS = {
    name: {
        tokenizer.convert_tokens_to_ids(token)
        for token in control_tokens(tokenizer)
        if (name, token) not in CAN_BE_UNKNOWN
    }
    for name, tokenizer in TOKENIZERS.items()
}
ALL = pytest.mark.parametrize("name", TOKENIZERS)

MARKS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<s>", "</s>", "<unk>", "＜/s＞", "</ｓ>"]
HALVES = ["<|im_", "start|>", "end|>", "<|", "|>", "<", "/s>", "s>", "</", ">", "\u2060", "▁", " "]
FORGED = st.lists(st.sampled_from(MARKS + HALVES) | st.text(max_size=3), max_size=8).map("".join)


@ALL
def test_a_control_piece_gives_control_tokens(name: str) -> None:
    marks = sorted(control_tokens(TOKENIZERS[name]))
    ids = [TOKENIZERS[name].convert_tokens_to_ids(mark) for mark in marks]
    assert TOKENS[name].encode([Control(mark) for mark in marks]) == ids
    assert TOKENS[name].encode([Control("".join(marks))]) == ids


@ALL
@settings(deadline=None, max_examples=some(100))
@given(FORGED)
def test_nothing_that_a_person_writes_gives_a_control_token(name: str, text: str) -> None:
    assert CONTROLS[name].isdisjoint(TOKENS[name].encode([text, text]))


@pytest.mark.parametrize("name", ["chatml", "llama2"])
@pytest.mark.parametrize("mark", MARKS)
def test_a_forged_mark_reaches_the_model_as_the_letters_that_it_is(name: str, mark: str) -> None:
    ids = TOKENS[name].encode([f"a{mark}b"])
    assert TOKENS[name].decoder().push(ids) == f"a{mark}b"


def test_a_mark_that_is_a_word_of_the_vocabulary_is_broken_up_and_not_dropped() -> None:
    ids = TOKENS["unigram"].encode(["a</s>b"])
    pieces = TOKENIZERS["unigram"].convert_ids_to_tokens(ids)
    assert pieces == ["▁", "a", "<", "<unk>", "/", "s", ">", "b"]


def test_an_unknown_letter_stays_unknown_even_if_unknown_is_a_control_token() -> None:
    assert "<unk>" in control_tokens(TOKENIZERS["unigram"])
    ids = TOKENS["unigram"].encode(["aΩb"])
    assert TOKENIZERS["unigram"].convert_ids_to_tokens(ids) == ["▁", "a", "<unk>", "b"]


def test_a_long_text_is_never_cut_nor_a_short_one_padded() -> None:
    tokenizer = chatml_tokenizer()
    tokenizer.backend_tokenizer.enable_truncation(3)
    tokenizer.backend_tokenizer.enable_padding(length=50)
    tokens = FastTokens(tokenizer)
    assert len(tokens.encode(["?" * 40])) == 40
    assert len(tokens.encode([Control("<|im_end|>" * 40)])) == 40


def test_the_tokenizers_own_frame_is_not_added_to_the_prompt() -> None:
    tokenizer = TOKENIZERS["llama2"]
    assert tokenizer("Hello").input_ids[0] == tokenizer.bos_token_id
    assert TOKENS["llama2"].encode(["Hello"]) == tokenizer("Hello").input_ids[1:]


def test_a_reply_ends_at_eos_and_at_the_marks_of_its_format() -> None:
    tokens, tokenizer = TOKENS["chatml"], TOKENIZERS["chatml"]
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    text_end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    assert tokens.stop_ids([]) == {tokenizer.eos_token_id} == {end}
    assert tokens.stop_ids(["<|endoftext|>", "<|never heard of|>"]) == {end, text_end}


def test_a_model_without_a_fast_tokenizer_is_refused() -> None:
    with pytest.raises(PromptError, match=r"tokenizer\.json"):
        FastTokens(SimpleNamespace(is_fast=False))


@ALL
@settings(deadline=None)
@given(st.text(), st.lists(st.integers(1, 5)))
def test_a_reply_in_pieces_is_the_reply_in_one(name: str, text: str, sizes: list[int]) -> None:
    # Without a letter after it, U+FFFD is held back: it may be half a character.
    ids = TOKENS[name].encode([f"{text}a"])
    whole = TOKENIZERS[name].backend_tokenizer.decode(ids)
    decoder, streamed, left = TOKENS[name].decoder(), "", list(ids)
    for size in [*sizes, *[1] * len(ids)]:
        streamed += decoder.push(left[:size])
        assert whole.startswith(streamed)
        del left[:size]
    assert streamed == whole


@pytest.mark.parametrize("name", ["chatml", "llama2"])
def test_half_a_character_is_never_shown(name: str) -> None:
    text = "a𐍈b🙂"
    decoder = TOKENS[name].decoder()
    shown = [decoder.push([id]) for id in TOKENS[name].encode([text])]
    assert [letter for letter in shown if letter] == list(text)


@ALL
def test_control_tokens_do_not_show_in_a_reply(name: str) -> None:
    decoder = TOKENS[name].decoder()
    ids = TOKENS[name].encode(["ab"])
    shown = "".join(decoder.push([id, *CONTROLS[name]]) for id in ids)
    assert shown == TOKENIZERS[name].backend_tokenizer.decode(ids)


def test_a_character_that_breaks_off_does_not_end_the_reply() -> None:
    # A new line is a byte token in Llama-2, so a half emoji after it spoils what was shown.
    ids = TOKENIZERS["llama2"].convert_tokens_to_ids(
        ["<0x0A>", "<0xF0>", "<0x9F>", "▁Hello", "▁the"]
    )
    decoder = TOKENS["llama2"].decoder()
    assert [decoder.push([id]) for id in ids] == ["\n", "", "", "\ufffd\ufffd Hello", " the"]


@ALL
@settings(deadline=None)
@given(data=st.data())
def test_any_ids_at_all_give_a_text(name: str, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, len(TOKENIZERS[name]) - 1)))
    decoder = TOKENS[name].decoder()
    streamed = "".join(decoder.push([id]) for id in ids)
    whole = TOKENIZERS[name].backend_tokenizer.decode(ids)
    if "\ufffd" not in whole:
        assert streamed == whole
    else:
        assert streamed.endswith(whole.rpartition("\ufffd")[2])


@pytest.mark.parametrize("kind", ["lstrip", "rstrip", "single_word", "normalized", "special"])
@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["<|im_start|>", "<|im_end|>", " ", "\n", "a", "<mask>", "<|im_", "<mask>b"]
        )
    )
)
def test_a_control_piece_in_parts_is_encoded_as_the_whole(kind: str, parts: list[str]) -> None:
    tokenizer = chatml_tokenizer()
    tokenizer.add_special_tokens({"mask_token": AddedToken("<mask>", **{kind: True})})
    text = "".join(parts)
    whole = tokenizer(text, add_special_tokens=False).input_ids
    assert FastTokens(tokenizer).encode([Control(text)]) == whole


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prompts.encoder.MEMORY", 130)  # two replies of 5 letters, 1 id
    tokens = FastTokens(TOKENIZERS["chatml"])
    other = [TOKENIZERS["chatml"].convert_tokens_to_ids("Z")]
    tokens.remember("12345", other)
    tokens.remember("67890", other)
    assert tokens.encode([Reply("12345")]) == other  # used last, so the other one goes
    tokens.remember("abc", other)
    assert tokens.encode([Reply("12345")]) == other
    assert tokens.encode([Reply("67890")]) != other


@pytest.mark.parametrize(
    "pieces",
    [["Hello", *"\n" * 200], ["\n" * 300 + "Hello"], [*"Hello, this is a reply of 40 letters."]],
)
def test_ids_that_take_far_more_than_the_text_are_not_remembered(pieces: list[str]) -> None:
    """Nobody sees white space at the ends, and who else has the same reply would pay for it."""
    tokens = FastTokens(TOKENIZERS["chatml"])
    text = "".join(pieces).strip()
    ids = [id for piece in pieces for id in tokens.encode([piece])]
    plain = tokens.encode([text])
    assert len(ids) > len(plain) + 8
    tokens.remember("".join(pieces), ids)
    assert tokens.encode([Reply(text)]) == plain
    few = [*plain, *tokens.encode(["\n\n"])]
    tokens.remember(text, few)
    assert tokens.encode([Reply(text)]) == few


def test_what_is_larger_than_the_memory_is_not_kept_and_displaces_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("prompts.encoder.MEMORY", 130)
    tokens = FastTokens(TOKENIZERS["chatml"])
    other = [TOKENIZERS["chatml"].convert_tokens_to_ids("Z")]
    tokens.remember("12345", other)
    tokens.remember("1" * 40, other)
    assert tokens.encode([Reply("1" * 40)]) != other
    assert tokens.encode([Reply("12345")]) == other


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Have Python change threads after almost every step."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
def test_several_threads_can_compose_and_remember_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prompts.encoder.MEMORY", 2_000)  # so that they forget all the time
    tokens = FastTokens(TOKENIZERS["chatml"])
    other = [TOKENIZERS["chatml"].convert_tokens_to_ids("Z")]
    plain = {f"{number}": tokens.encode([f"{number}"]) for number in range(50)}

    def compose(thread: int) -> None:
        for step in range(1000):
            text = f"{(7 * thread + step) % 50}"
            tokens.remember(text, other)
            assert tokens.encode([Reply(text)]) in (other, plain[text])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(compose, range(8)))


def test_a_reply_without_known_ids_is_one_text_with_its_neighbours() -> None:
    tokens = FastTokens(TOKENIZERS["llama2"])
    glued = tokens.encode(["Hello ", Reply("there", before=" ", after=" "), "now"])
    assert glued == tokens.encode(["Hello  there now"])
    assert tokens.encode(["Hello ", "there"]) != tokens.encode(["Hello there"])


def test_where_nothing_is_unknown_the_unknown_token_is_a_control_token_like_any_other() -> None:
    tokenizer = TOKENIZERS["chatml"]
    assert tokenizer.unk_token == "<|endoftext|>"
    tokens = FastTokens(tokenizer)
    before = tokens.encode([Reply("Hello")])
    tokens.remember("Hello", [tokenizer.unk_token_id, *before])
    assert tokens.encode([Reply("Hello")]) == before


def test_a_prompt_is_shown_with_its_control_tokens() -> None:
    pieces = [Control("<|im_start|>"), "user\nHi", Control("<|im_end|>")]
    tokens = TOKENS["chatml"]
    assert tokens.show(tokens.encode(pieces)) == "<|im_start|>user\nHi<|im_end|>"


def test_tokens_that_look_like_control_tokens_are_such_though_not_special() -> None:
    tokenizer = chatml_tokenizer()
    tokenizer.add_tokens([AddedToken("<|user|>"), AddedToken("<table>")])
    ids = FastTokens(tokenizer).encode(["a <|user|> <table>"])
    assert tokenizer.convert_tokens_to_ids("<|user|>") not in ids
    assert tokenizer.convert_tokens_to_ids("<table>") in ids


def test_a_mark_that_nothing_breaks_is_dropped() -> None:
    tokenizer = unigram_tokenizer()
    blind = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("\u2060", "")])
    tokenizer.backend_tokenizer.normalizer = blind
    assert tokenizer.eos_token_id not in FastTokens(tokenizer).encode(["a</s>b"])


def test_a_token_that_is_found_after_normalizing_leaves_a_control_piece_whole() -> None:
    tokenizer = llama2_tokenizer()
    tokenizer.add_special_tokens({"mask_token": AddedToken("<mask>", normalized=True)})
    text = "Hello<mask>there<mask>"
    whole = tokenizer(text, add_special_tokens=False).input_ids
    assert FastTokens(tokenizer).encode([Control(text)]) == whole


def test_a_reply_of_nothing_is_nothing() -> None:
    tokens = FastTokens(TOKENIZERS["chatml"])
    tokens.remember(" ", tokens.encode(["Hello"]))
    assert tokens.encode([Reply("")]) == []


@pytest.mark.timeout(20)
def test_what_shows_nothing_takes_no_longer_with_each_one_more() -> None:
    tokenizer = chatml_tokenizer()
    decoder = FastTokens(tokenizer).decoder()
    silent = tokenizer.convert_tokens_to_ids("<|im_start|>")
    assert decoder.push([silent] * 60_000) == ""
    assert decoder.push(tokenizer.encode("Hello", add_special_tokens=False)) == "Hello"
