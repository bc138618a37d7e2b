"""chat.core.token_bytes: what single tokens stand for, of every kind of tokenizer."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models
from tokenizers.pre_tokenizers import ByteLevel

from chat.core.token_bytes import TokenBytes
from chat.core.tokens import FastTokens
from tests.support.tiny import chatml_tokenizer, llama2_tokenizer, llama3_tokenizer

TOKENIZERS = {
    "chatml": chatml_tokenizer(),
    "llama3": llama3_tokenizer(),
    "llama2": llama2_tokenizer(),
    "llama2 as it should be": llama2_tokenizer(legacy=False),
}
TOKENS = {name: FastTokens(tokenizer) for name, tokenizer in TOKENIZERS.items()}


@pytest.mark.parametrize("name", TOKENIZERS)
@given(st.text())
@example("a 🙂🙃 👩‍💻")
@example("  Ġ▁ <0x41> größe\t\n\x00\x85")
def test_the_bytes_of_its_tokens_are_those_of_a_text(name: str, text: str) -> None:
    tokens = TOKENS[name]
    ids = tokens.encode([f"a{text}"])
    # SentencePiece has a space before a text that stands first, and reads its mark ▁ as one.
    meant = text.replace("▁", " ") if name.startswith("llama2") else text
    assert b"".join(map(tokens.bytes_of, ids)).decode().removeprefix(" ") == f"a{meant}"


@pytest.mark.parametrize("name", TOKENIZERS)
def test_every_token_alone_has_the_text_that_its_tokenizer_shows(name: str) -> None:
    tokens = TOKENS[name]
    for id in range(len(TOKENIZERS[name])):
        shown, found = tokens.show([id]), tokens.bytes_of(id).decode(errors="replace")
        assert found == shown or found == f" {shown}"


@pytest.mark.parametrize("name", TOKENIZERS)
def test_an_emoji_in_parts_has_its_bytes_one_after_another(name: str) -> None:
    tokens = TOKENS[name]
    found = [tokens.bytes_of(id) for id in tokens.encode(["a🤖"])][-4:]
    assert b"".join(found).endswith("🤖".encode())
    assert len(found[-1]) < 4


def test_a_control_token_has_its_name() -> None:
    tokenizer = TOKENIZERS["chatml"]
    assert TOKENS["chatml"].bytes_of(tokenizer.eos_token_id) == b"<|im_end|>"
    assert TOKENS["llama2"].bytes_of(1) == b"<s>"


def test_a_token_that_was_added_is_taken_by_the_letter() -> None:
    tokenizer = chatml_tokenizer()
    tokenizer.add_tokens([AddedToken("Ġé")])
    assert TokenBytes(tokenizer.backend_tokenizer).of(len(tokenizer) - 1) == "Ġé".encode()


def test_an_id_without_a_token_has_nothing() -> None:
    assert TOKENS["chatml"].bytes_of(10**6) == b""
    assert TOKENS["llama2"].bytes_of(2**32 - 1) == b""


def test_every_byte_has_a_letter_of_its_own() -> None:
    letters = sorted(ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: id for id, letter in enumerate(letters)}, []))
    tokenizer.decoder = decoders.ByteLevel()
    found = [TokenBytes(tokenizer).of(id) for id in range(256)]
    assert sorted(found) == [bytes([byte]) for byte in range(256)]
    for id, one in enumerate(found):
        assert tokenizer.decode([id]) == one.decode(errors="replace")


@pytest.mark.parametrize(
    ("decoder", "token", "expected"),
    [
        (decoders.WordPiece(), "##ing", "ing"),
        (decoders.WordPiece(), "word", " word"),
        (decoders.Metaspace(), "▁word", " word"),
        (decoders.Metaspace(), "Ġ", "Ġ"),
        (decoders.Metaspace(), "<0x41>", "<0x41>"),
        (None, "▁word", "▁word"),
    ],
)
def test_any_other_token_is_decoded_as_it_is_behind_others(
    decoder: decoders.Decoder | None, token: str, expected: str
) -> None:
    tokenizer = Tokenizer(models.WordLevel({token: 0, "unknown": 1}, unk_token="unknown"))
    if decoder:
        tokenizer.decoder = decoder
    assert TokenBytes(tokenizer).of(0) == expected.encode()
