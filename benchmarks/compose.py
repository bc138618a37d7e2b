"""How long composing and encoding a prompt takes, turn by turn.

    python -m benchmarks.compose FOLDER [--turns 20] [--tokens 100]

A conversation grows by one question and one answer of `--tokens` tokens each a
turn, with the tokenizer in FOLDER. Per prompt format that fits it: milliseconds
for a conversation that is new to the server (first), for the same one again
(again), for one more turn after a reply that was generated here (next), and the
same at half the length (half). If a turn costs only its new text, `next` and
`half` are alike, but for what joining the pieces costs.
"""

import argparse
import json
import random
import time
from typing import Any

import torch
from transformers import AutoTokenizer

from prompts import FORMATS, Message, PromptError, choose
from prompts.encoder import Encoder

WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "and", "sings")


def text(dice: random.Random, tokenizer: Any, tokens: int) -> str:
    """Return about so many tokens of English words."""
    words = " ".join(dice.choices(WORDS, k=tokens))
    return str(tokenizer.decode(tokenizer(words, add_special_tokens=False)["input_ids"][:tokens]))


def milliseconds(encoder: Encoder, format: Any, messages: list[Message]) -> tuple[float, int]:
    """Return how long the prompt of `messages` takes, and its number of tokens."""
    start = time.perf_counter()
    ids = encoder.encode(format.pieces(messages))
    return 1000 * (time.perf_counter() - start), len(ids)


def measure(tokenizer: Any, name: str, turns: int, tokens: int) -> dict[str, Any]:
    """Return the times of one format; the best of five for what can be repeated."""
    dice = random.Random(0)
    texts = [text(dice, tokenizer, tokens) for _ in range(2 * turns + 1)]
    messages = [Message("assistant" if i % 2 else "user", said) for i, said in enumerate(texts)]
    format, encoder = choose(tokenizer, name), Encoder(tokenizer)

    def turn(length: int) -> float:
        """Return the time of the turn that makes `length` messages, the others being known."""
        fresh = Encoder(tokenizer)
        for _, reply, *_ in messages[1:length:2]:
            fresh.remember(reply, tokenizer(reply, add_special_tokens=False)["input_ids"])
        fresh.encode(format.pieces(messages[: length - 2]))
        return milliseconds(fresh, format, messages[:length])[0]

    encoder.encode(format.pieces([Message("user", "warm")]))
    first, size = milliseconds(encoder, format, messages)
    return {
        "format": name,
        "tokens": size,
        "first": round(first, 2),
        "again": round(min(milliseconds(encoder, format, messages)[0] for _ in range(5)), 2),
        "next": round(min(turn(len(messages)) for _ in range(5)), 2),
        "half": round(min(turn(turns // 2 * 2 + 1) for _ in range(5)), 2),
    }


def main() -> None:
    """Print a table, and the same as JSON in the last line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compose", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=100)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(chosen.folder, local_files_only=True)
    rows = []
    for name in FORMATS:
        try:
            rows.append(measure(tokenizer, name, chosen.turns, chosen.tokens))
        except PromptError:
            continue  # its control tokens are not this tokenizer's
    print(f"{'format':10}{'tokens':>8}{'first':>8}{'again':>8}{'next':>8}{'half':>8}   ms")
    for row in rows:
        print(f"{row['format']:10}" + "".join(f"{value:>8}" for value in list(row.values())[1:]))
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
