"""The figures as Markdown tables, to be read and pasted."""

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.figures import Figures

#: Figures of one server: what they are called, and under which name they are kept.
ONE = {
    "first token, first turn (ms)": "first_token_first_turn_ms",
    "first token, turns from the second on (ms)": "first_token_early_turns_ms",
    "first token, last turns (ms)": "first_token_late_turns_ms",
    "first token, last turn (ms)": "first_token_last_turn_ms",
    "first token, long message (ms)": "first_token_long_ms",
    "first token, turn after it (ms)": "first_token_after_long_ms",
    "joined by a long message: inter-token p50 (ms)": "joining.inter_token_p50_ms",
    "joined by a long message: inter-token p99 (ms)": "joining.inter_token_p99_ms",
    "joined by a long message: largest gap (ms)": "joining.largest_gap_ms",
    "first token of the one who joins (ms)": "joining.joiner_first_token_ms",
    "start to page (s)": "start_page_s",
    "start to first token (s)": "start_first_token_s",
    "CPU while idle (% of a core)": "idle_cpu_percent",
    "peak memory, sum of RSS (MB)": "peak_rss_mb",
    "peak memory, PSS (MB)": "peak_pss_mb",
}

#: Figures of so many people at once.
USERS = {
    "total tok/s": "total_tokens_per_s",
    "tokens": "tokens",
    "tok/s a user": "user_tokens_per_s",
    "decode tok/s": "decode_tokens_per_s",
    "slowest": "slowest_user_tokens_per_s",
    "fastest": "fastest_user_tokens_per_s",
    "ratio": "fastest_to_slowest",
    "first token ms": "first_token_ms",
    "worst": "first_token_worst_ms",
    "inter-token p50 ms": "inter_token_p50_ms",
    "p99": "inter_token_p99_ms",
    "largest gap ms": "largest_gap_ms",
    "server CPU ms/token": "server_cpu_ms_per_token",
    "client CPU ms/token": "client_cpu_ms_per_token",
    "CPU of others %": "other_cpu_percent",
}

#: What each other server is compared with: of ours, what is asked in the same way.
BESIDE = {"baseline": "app", "against": "api"}
#: The servers, as they are told of.
TITLES = {"app": "the page", "baseline": "baseline", "api": "our API", "against": "their API"}

#: Percent of a core that others may use before a result says so; an idle server uses some.
QUIET = 20

ALONE = {
    "imports (s)": "imports_s",
    "load (s)": "load_s",
    "imports and load (s)": "imports_and_load_s",
    "memory of the imports (MB)": "imports_mb",
    "weights file (MB)": "weights_file_mb",
    "KV pool (MB)": "kv_cache_mb",
    "peak memory, sum of RSS (MB)": "peak_rss_mb",
}


def report(
    results: Mapping[str, Figures], better: Mapping[str, Figures], users: Sequence[int]
) -> str:
    """Return all tables; `better` is how many times better ours are than each other server."""
    alone = results["alone"]
    parts = [
        table(("model alone", ""), ((title, show(alone.get(key))) for title, key in ALONE.items()))
    ]
    servers = {title: results[name] for name, title in TITLES.items() if name in results}
    times = {_times(other): values for other, values in better.items()}
    columns = {**servers, **times}
    if servers:
        rows = (
            (title, *(show(found.get(key)) for found in columns.values()))
            for title, key in ONE.items()
        )
        parts.append(table(("", *columns), rows))
    parts.append(table(("users", "", *USERS), _users({"engine alone": alone, **columns}, users)))
    if shares := list(_shares(results, users)):
        parts.append(table(("users", "tok/s over HTTP / engine alone"), shares))
    if "bare" in results:
        rate = show(results["bare"]["user_tokens_per_s"])
        parts.append(f"model.generate of the NF4 model, nothing around it: {rate} tok/s")
    if (others := most_of_others(servers)) > QUIET:
        parts.append(
            f"Other processes used up to {others:.0f} % of a core meanwhile: "
            "measure again on a quiet machine."
        )
    return "\n\n".join(parts)


def most_of_others(servers: Mapping[str, Figures]) -> float:
    """Return the most CPU that processes other than these used, in percent of a core."""
    found = (figures.items() for figures in servers.values())
    named = (
        value for items in found for name, value in items if name.endswith("other_cpu_percent")
    )
    return max(filter(None, named), default=0.0)


def _times(other: str) -> str:
    return f"{TITLES[BESIDE[other]]} / {TITLES[other]}"


def _users(many: Mapping[str, Figures], users: Sequence[int]) -> Iterable[tuple[str, ...]]:
    for count in users:
        for name, found in many.items():
            row = [found.get(f"users_{count}.{key}") for key in USERS.values()]
            if any(value is not None for value in row):
                yield str(count), name, *map(show, row)


def _shares(results: Mapping[str, Figures], users: Sequence[int]) -> Iterable[tuple[str, str]]:
    for count in users:
        name = f"users_{count}.total_tokens_per_s"
        over, without = results.get("app", {}).get(name), results["alone"].get(name)
        if over and without:
            yield str(count), f"{over / without:.2f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table with columns of even width."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return f"| {' | '.join(padded)} |"

    rule = f"|{'|'.join('-' * (width + 2) for width in widths)}|"
    return "\n".join([line(head), rule, *map(line, lines[1:])])


def show(value: float | None) -> str:
    """Return a figure with three digits that count, or a dash."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
