"""What drafting brings: an assistant model, and prompt lookup, against the engine without.

    python -m benchmarks.drafting [--tokens 100] [--rounds 5] [-- flags of the app]

All of them are loaded in one process and asked in turn, so that what else the machine does
meets all alike; a ratio is the median of those of the rounds. Unless the flags name an
--assistant-model it is the model itself, which is always right and costs as much.
"""

import argparse
import asyncio
import time
from collections.abc import Iterable
from contextlib import aclosing
from statistics import median
from typing import TYPE_CHECKING

from benchmarks import machine, scenarios
from benchmarks.table import show, table

if TYPE_CHECKING:
    from chat.core.chat import Chat
    from chat.core.sampling import Sampling

LOOKUP = 5
TEXT = (
    "A baker from the island sold bread to the sailors every morning, and wrote each sale into a "
    "yellow book. The lighthouse keeper read it in the evening, when the river was cold. "
)
#: What is asked for, by what is drafted well there and what is not.
ASKED = {
    "a story": scenarios.story_of(0, 3),
    "a copy": f"Repeat this text word by word, three times: {TEXT}",
}


def main() -> None:
    """Measure, and print a table for each engine."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drafting")
    parser.add_argument("--tokens", type=int, default=100, help="tokens of a reply")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is asked")
    parser.add_argument("--engines", default="openvino,transformers", help="which, after commas")
    parser.add_argument("flags", nargs="*", metavar="-- flags", help="flags of the app")
    chosen = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in machine.describe().items()))
    for engine in chosen.engines.split(","):
        rows = measured(engine, chosen.tokens, chosen.rounds, chosen.flags)
        print(f"\n{table((engine, 'asked for', 'how', 'tokens/s', 'times as fast'), rows)}")


def measured(
    engine: str, tokens: int, rounds: int, flags: list[str]
) -> Iterable[tuple[str, str, str, str, str]]:
    """Yield a row for each kind of drafting and of reply."""
    from chat.core.sampling import Sampling
    from chat.load import load
    from chat.settings import read

    common = [f"--engine={engine}", "--parallel=1", "--context-window=1024", *flags]
    settings = read(common)
    assistant = settings.assistant_model or settings.model
    kinds = {
        "without": [],
        "prompt lookup": [f"--prompt-lookup={LOOKUP}"],
        "assistant": [f"--assistant-model={'embedded' if assistant == 'auto' else assistant}"],
    }
    chats = {
        kind: load(read([*common, "--assistant-model=", *more])) for kind, more in kinds.items()
    }
    for asked, message in ASKED.items():
        # OpenVINO drafts no reply that is drawn.
        for how, temperature in [("greedy", 0.0), ("drawn", 0.6)][: 1 + (engine == "transformers")]:
            sampling = Sampling(
                max_new_tokens=tokens, temperature=temperature, repetition_penalty=1.0, seed=1
            )
            rates: dict[str, list[float]] = {kind: [] for kind in chats}
            for turn in range(rounds + 1):
                for kind, chat in chats.items():
                    rate = asyncio.run(rate_of(chat, message, sampling))
                    if turn:  # the first reads the prompt
                        rates[kind].append(rate)
            for kind, found in rates.items():
                pairs = zip(found, rates["without"], strict=True)
                times = median(one / plain for one, plain in pairs)
                yield kind, asked, how, show(median(found)), f"{times:.2f}"
    for chat in chats.values():
        chat.engine.close()


async def rate_of(chat: "Chat", message: str, sampling: "Sampling") -> float:
    """Return the tokens a second of one reply, from its first one on."""
    prompt = scenarios.prompt(chat, message, sampling.max_new_tokens)
    times: list[float] = []
    count = first = 0
    async with aclosing(chat.engine.generate(prompt, sampling)) as batches:
        async for ids in batches:
            if ids:
                times.append(time.perf_counter())
                first = first or len(ids)
                count += len(ids)
    return (count - first) / (times[-1] - times[0]) if len(times) > 1 else 0.0


if __name__ == "__main__":
    main()
