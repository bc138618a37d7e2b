"""How often a reply, encoded anew, gives other ids than it was generated as.

    python -m benchmarks.reencode FOLDER [--replies 200] [--tokens 64]

FOLDER holds a chat model. Each time the ids differ, the next turn's prompt no
longer begins with what the model has read and written, and a cache of it is
lost from there on; remembering the ids of replies (`prompts.encoder`) avoids
that. Prints how many replies differ, encoded anew and with memory.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from itertools import islice, product
from pathlib import Path

from chat.core.chat import Chat
from chat.core.conversation import Conversation
from chat.core.gate import Gate
from chat.core.sampling import Sampling
from chat.core.tokens import FastTokens
from chat.engines.transformers.engine import TransformersEngine
from chat.models import quantize
from prompts import Message, choose
from prompts.encoder import Encoder

ASK = ["Write a poem about", "List five facts about", "Write Python code for", "Explain in French"]
ASK += ["Tell a joke about", "Make a Markdown table of", "Use many emoji to describe", "What is"]
ABOUT = ["cats", "prime numbers", "the moon", "sorting", "bread", "Tokyo", "love", "a bicycle"]
ABOUT += ["rain", "chess", "Mars", "tea", "a cache", "music", "bees", "the sea", "1984", "time"]
ABOUT += ["snow", "trees", "π", "money", "dreams", "the year 2038", "coffee"]


class Recorder(FastTokens):
    """Keeps the ids of the last reply to compare with."""

    last: Sequence[int] = ()

    def remember(self, reply: str, ids: Sequence[int]) -> None:
        """See `Tokens.remember`."""
        self.last = list(ids)
        super().remember(reply, ids)


async def measure(folder: Path, replies: int, tokens: int) -> dict[str, int]:
    """Return how many replies there were, and how many broke the prefix."""
    tokenizer, model = quantize.tokenizer_and_model(folder, folder)
    format, remembering = choose(tokenizer), Recorder(tokenizer)
    engine = TransformersEngine(model, remembering.stop_ids(format.stop), 4096)
    chat = Chat(engine, remembering, format, Gate(1, 0))
    counts = {"replies": 0, "anew": 0, "remembered": 0}
    for asked, about in islice(product(ASK, ABOUT), replies):
        question = Message("user", f"{asked} {about}")
        sampling = Sampling(max_new_tokens=tokens, temperature=0.8)
        text = ""
        async for update in chat.reply(Conversation([question]), sampling):
            text = update.text
        if not text:
            continue
        counts["replies"] += 1
        later = [question, Message("assistant", text), Message("user", "Go on.")]
        prefix = remembering.encode(format.pieces([question])) + list(remembering.last)
        for name, encoder in (("anew", Encoder(tokenizer)), ("remembered", remembering)):
            ids = encoder.encode(format.pieces(later))
            counts[name] += ids[: len(prefix)] != prefix
    engine.close()
    return counts


def main() -> None:
    """Print the counts as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reencode", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path)
    parser.add_argument("--replies", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=64)
    chosen = parser.parse_args()
    print(json.dumps(asyncio.run(measure(chosen.folder, chosen.replies, chosen.tokens))))


if __name__ == "__main__":
    main()
