"""chat.engines.transformers.guide: only ids that can lead to a match stay likely."""

import json
import re
import subprocess
import sys

import jsonschema
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from chat.core.sampling import Sampling
from chat.engines.transformers.guide import Guide, apply_mask
from chat.errors import EngineError
from tests.support.schemas import SCHEMAS, STRING
from tests.support.tiny import chatml_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return chatml_tokenizer()


def write(tokenizer: PreTrainedTokenizerFast, sampling: Sampling, seed: int) -> str:
    """Draw tokens by chance, as far as the guide lets them, until the reply ends."""
    vocabulary = len(tokenizer) + 5  # as models do that are padded
    process = Guide(tokenizer, vocabulary).compiled(sampling).processor(3)
    random = torch.Generator().manual_seed(seed)
    ids = [5, 6, 7]
    for _ in range(300):
        scores = process(torch.tensor([ids]), torch.rand(1, vocabulary, generator=random))
        ids.append(int(scores.argmax()))
        if ids[-1] == tokenizer.eos_token_id:
            return str(tokenizer.decode(ids[3:-1]))
    raise AssertionError("the reply did not end")


@pytest.mark.parametrize(
    "pattern",
    ["yes|no", r"\d{3}-[a-z]{2}\.", r"[\]\-\\^\[]{3}", "日本|é[à-ü]|🙂", r"\S\D\W", r"a\/b"],
)
def test_a_reply_matches_its_pattern(tokenizer: PreTrainedTokenizerFast, pattern: str) -> None:
    for seed in range(2):
        reply = write(tokenizer, Sampling(regex=pattern), seed)
        assert re.fullmatch(pattern, reply, re.ASCII), reply


def test_a_reply_is_one_of_the_choices(tokenizer: PreTrainedTokenizerFast) -> None:
    choices = ("yes", "no (really)", "[x] a|b.*")
    replies = {write(tokenizer, Sampling(choices=choices), seed) for seed in range(20)}
    assert replies == set(choices)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_reply_is_json_of_its_schema(tokenizer: PreTrainedTokenizerFast, name: str) -> None:
    schema = SCHEMAS[name]
    reply = write(tokenizer, Sampling(json_schema=json.dumps(schema)), seed=1)
    jsonschema.validate(json.loads(reply), schema, jsonschema.Draft202012Validator)
    assert not re.search(r"\s{3}|[\t\n]", STRING.sub("text", reply))


def test_what_cannot_be_kept_to_any_longer_is_an_error_and_no_reply_that_ends(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    """As where llguidance comes to its own limits, here by an id that it had not let through."""
    process = Guide(tokenizer, len(tokenizer)).compiled(Sampling(regex="yes|no")).processor(1)
    scores = torch.zeros(1, len(tokenizer))
    process(torch.tensor([[5]]), scores.clone())
    [other] = tokenizer.encode("x", add_special_tokens=False)[:1]
    with pytest.raises(EngineError, match="could not be kept to"):
        process(torch.tensor([[5, other]]), scores.clone())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ("rows", "vocabulary", "words"), [(1, 64, 2), (1, 50, 2), (3, 200, 7), (2, 100, 2), (1, 3, 1)]
)
def test_a_mask_leaves_the_scores_whose_bits_are_set_as_they_are(
    rows: int, vocabulary: int, words: int, dtype: torch.dtype
) -> None:
    """Of each row its own, with bits beyond the vocabulary, and ids beyond the bits."""
    random = torch.Generator().manual_seed(0)
    scores = torch.randn(rows, vocabulary, generator=random).to(dtype)
    scores[0, 0] = -torch.inf
    scores[-1, 1] = torch.inf
    mask = torch.randint(-(2**31), 2**31, (rows, words), generator=random).int()
    mask[:, 0] |= -(2**31) | 3
    expected = scores.clone()
    for row in range(rows):
        for id in range(vocabulary):
            is_set = id < 32 * words and int(mask[row, id // 32]) >> (id % 32) & 1
            if not is_set:
                expected[row, id] = -torch.inf
    apply_mask(scores, mask)
    assert torch.equal(scores, expected)


def test_the_first_reply_that_is_tied_down_compiles_nothing() -> None:
    """It would need half a minute, and a C compiler, which a container may not have."""
    program = """
import sys, torch
from chat.core.sampling import Sampling
from chat.engines.transformers.guide import Guide
from tests.support.tiny import chatml_tokenizer
tokenizer = chatml_tokenizer()
process = Guide(tokenizer, len(tokenizer)).compiled(Sampling(regex="yes|no")).processor(1)
scores = process(torch.tensor([[5]]), torch.zeros(1, len(tokenizer)))
assert 0 < scores.isfinite().sum() < 9
assert "torch._inductor" not in sys.modules and "llguidance.torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=100)


def test_nothing_of_a_reply_that_does_not_fit_is_printed(
    tokenizer: PreTrainedTokenizerFast, capfd: pytest.CaptureFixture[str]
) -> None:
    """As one does not that is to go on where it could only end."""
    process = Guide(tokenizer, len(tokenizer)).compiled(Sampling(regex="a")).processor(0)
    with pytest.raises(EngineError):
        process(torch.tensor([[*tokenizer("secret").input_ids]]), torch.zeros(1, len(tokenizer)))
    assert capfd.readouterr() == ("", "")
