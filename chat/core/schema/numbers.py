"""The ways to write a number between limits, in EBNF."""

from decimal import Decimal
from typing import Any

from chat.core.schema.letters import NOTHING, literal


def tightest(
    node: dict[str, Any], closed: str, open: str, choose: Any
) -> tuple[Decimal | None, bool]:
    """Return the limit of two that `choose` prefers, and whether it is itself outside."""
    limits = [(Decimal(str(node[name])), name == open) for name in (closed, open) if name in node]
    if not limits:
        return None, False
    limit = choose(value for value, _ in limits)
    return limit, any(value == limit and outside for value, outside in limits)


def integers(low: int | None, high: int | None) -> list[str]:
    """Return the ways to write a whole number from `low` to `high`."""
    if low is not None and high is not None and low > high:
        return []
    ways = []
    if low is None or low < 0:
        least = 1 if high is None or high >= 0 else -high
        ways += [f'"-" {way}' for way in _naturals(least, None if low is None else -low)]
    if high is None or high >= 0:
        ways += _naturals(max(low or 0, 0), high)
    return ways


def _naturals(low: int, high: int | None) -> list[str]:
    if high is None:
        digits = len(str(low))
        more = f"[1-9] [0-9]{{{digits},{digits + 17}}}"
        return [*_naturals(low, 10**digits - 1), more]
    ways = []
    for digits in range(len(str(low)), len(str(high)) + 1):
        first = max(low, 10 ** (digits - 1) if digits > 1 else 0)
        last = min(high, 10**digits - 1)
        if first <= last:
            ways += _digits(str(first), str(last))
    return ways


def _digits(low: str, high: str) -> list[str]:
    """Return the ways to write a number between two that have as many digits."""
    if not low:
        return [NOTHING]
    if low[0] == high[0]:
        return [f"[{low[0]}] {way}" for way in _digits(low[1:], high[1:])]
    rest = len(low) - 1
    first, last = int(low[0]), int(high[0])
    ways = []
    if low[1:].strip("0"):
        ways += [f"[{first}] {way}" for way in _digits(low[1:], "9" * rest)]
        first += 1
    if high[1:].strip("9"):
        ways += [f"[{last}] {way}" for way in _digits("0" * rest, high[1:])]
        last -= 1
    if first <= last:
        ways.append(f"[{first}-{last}] [0-9]{{{rest},{rest}}}" if rest else f"[{first}-{last}]")
    return ways


def numbers(
    low: Decimal | None, low_open: bool, high: Decimal | None, high_open: bool
) -> list[str]:
    """Return the ways to write a number between the limits, without an exponent."""
    ways = []
    if low is None or low < 0:
        near, near_open = (Decimal(0), True) if high is None or high >= 0 else (-high, high_open)
        far = None if low is None else -low
        ways += [f'"-" {way}' for way in _amounts(near, near_open, far, low_open)]
    if high is None or high >= 0:
        near, near_open = (Decimal(0), False) if low is None or low < 0 else (low, low_open)
        ways += _amounts(near, near_open, high, high_open)
    return ways


def _amounts(low: Decimal, low_open: bool, high: Decimal | None, high_open: bool) -> list[str]:
    """Return the ways to write a number that is not negative, by its whole part."""
    first = int(low)
    last = None if high is None else int(high)
    if last is not None and last < first:
        return []
    ways = []
    if last is None or last > first + 1:
        between = _naturals(first + 1, None if last is None else last - 1)
        ways += [f"{way} fraction?" for way in between]
    same = last == first
    tails = _tails(
        low - first, low_open, high - first if same and high is not None else None, high_open
    )
    ways += [f"{literal(str(first))} {tail}" for tail in tails]
    if last is not None and high is not None and not same:
        tails = _tails(Decimal(0), False, high - last, high_open)
        ways += [f"{literal(str(last))} {tail}" for tail in tails]
    return ways


def _tails(low: Decimal, low_open: bool, high: Decimal | None, high_open: bool) -> list[str]:
    """Return the ways to write what follows a whole part: a share of 1, or nothing."""
    places = max(_places(low), _places(high or Decimal(0)))
    scale = 10**places
    first, last = int(low * scale), scale - 1 if high is None else int(high * scale)
    ways = []
    if low == 0 and not low_open and not (high == 0 and high_open):
        ways.append(NOTHING)
    inner_first = first + 1 if low_open else first
    inner_last = last if high is None else last - 1
    if places == 0:
        if high is None:
            if not low_open:
                return [NOTHING, "fraction"]
            return ['"." [0]{0,16} [1-9] [0-9]{0,8}']
        return [*ways, '"." [0]{1,8}'] if ways else []

    def pad(number: int) -> str:
        return str(number).zfill(places)

    if inner_first <= inner_last:
        ways += [f'"." {way} [0-9]{{0,9}}' for way in _digits(pad(inner_first), pad(inner_last))]
    if high is not None and not high_open and (last > first or not low_open):
        ways.append(f'"." {literal(pad(last))} [0]{{0,9}}')
    if low_open and (high is None or last > first):
        ways.append(f'"." {literal(pad(first))} [0]{{0,9}} [1-9] [0-9]{{0,8}}')
    return ways


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -int(exponent))
