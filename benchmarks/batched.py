"""What batching brings: several requests at once against one after another, and one alone.

    python -m benchmarks.batched [--people 8] [--tokens 60] [--rounds 5] [-- flags of the app]

The batched engine and the one for one reply at a time are loaded side by side and asked in turn,
so that what else the machine does meets both alike; a ratio is the median of those of the rounds.
Prompts are in the cache from the first round on.
"""

import argparse
import asyncio
import time
from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING

from benchmarks import machine, scenarios
from benchmarks.table import show, table

if TYPE_CHECKING:
    from chat.core.chat import Chat
    from chat.core.sampling import Sampling

ONE, MANY = "transformers", "batched"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batched")
    parser.add_argument("--people", type=int, default=8, help="how many ask at once")
    parser.add_argument("--tokens", type=int, default=60, help="tokens of a reply")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is asked")
    parser.add_argument("flags", nargs="*", metavar="-- flags", help="flags of the app")
    chosen = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in machine.describe().items()))
    print(table(("replies", "what", "tokens/s", "times"), measured(chosen)))


def measured(chosen: argparse.Namespace) -> Iterator[tuple[str, str, str, str]]:
    """Yield a row for each way of asking, greedy and drawn; `times` is over the row before."""
    from chat.core.sampling import Sampling
    from chat.load import load
    from chat.settings import read

    flags = ["--context-window=2048", f"--parallel={chosen.people}", *chosen.flags]
    chats = {name: load(read([*flags, f"--engine={name}"])) for name in (ONE, MANY)}
    for how, temperature in (("greedy", 0.0), ("drawn", 0.6)):
        sampling = Sampling(
            max_new_tokens=chosen.tokens,
            min_new_tokens=chosen.tokens,
            temperature=temperature,
            seed=1,
        )
        rounds = [asyncio.run(_round(chats, chosen.people, sampling)) for _ in range(chosen.rounds)]
        for name, over in (
            ("one alone, engine transformers", None),
            ("one alone, engine batched", "one alone, engine transformers"),
            ("all in turn, engine batched", None),
            ("all at once, engine batched", "all in turn, engine batched"),
        ):
            times = median(found[name] / found[over] for found in rounds) if over else None
            rate = show(median(found[name] for found in rounds))
            yield how, name, rate, f"{times:.2f}" if times else ""
    for chat in chats.values():
        chat.engine.close()


async def _round(chats: "dict[str, Chat]", people: int, sampling: "Sampling") -> dict[str, float]:
    """Return the tokens a second of each way, once."""
    one, many = chats[ONE], chats[MANY]
    messages = [scenarios.story_of(number, 3) for number in range(people)]
    found = {}
    for name, chat in (("transformers", one), ("batched", many)):
        found[f"one alone, engine {name}"] = await _rate(chat, messages[:1], sampling)
    begun = time.perf_counter()
    for message in messages:
        await _rate(many, [message], sampling)
    tokens = people * sampling.max_new_tokens
    found["all in turn, engine batched"] = tokens / (time.perf_counter() - begun)
    found["all at once, engine batched"] = await _rate(many, messages, sampling)
    return found


async def _rate(chat: "Chat", messages: list[str], sampling: "Sampling") -> float:
    """Return the tokens a second of replies to `messages`, asked at the same time."""
    begun = time.perf_counter()
    counts = await asyncio.gather(*(_written(chat, message, sampling) for message in messages))
    return sum(counts) / (time.perf_counter() - begun)


async def _written(chat: "Chat", message: str, sampling: "Sampling") -> int:
    prompt = scenarios.prompt(chat, message, sampling.max_new_tokens)
    return len([id async for ids in chat.engine.generate(prompt, sampling) for id in ids])


if __name__ == "__main__":
    main()
