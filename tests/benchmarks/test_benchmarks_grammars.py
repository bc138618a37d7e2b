"""benchmarks.grammars: many patterns beside somebody who is written to."""

from benchmarks import grammars
from chat.core.sampling import Sampling
from tests.support.fakes import ScriptedEngine


def test_each_number_has_a_pattern_of_its_own() -> None:
    patterns = {Sampling(regex=grammars.pattern(number)).pattern for number in range(1000)}
    assert len(patterns) == 1000


async def test_patterns_and_a_neighbour_are_written_to_at_the_same_time() -> None:
    engine = ScriptedEngine(lambda _: "x" * 100, pace=0.001)
    found = await grammars.measure(engine, 20)
    assert found["refused"] == 0
    assert engine.most_active == 2
    for how in ("beside others", "beside patterns"):
        seconds = found[how]
        assert 0 < seconds["p50"] <= seconds["p99"] <= seconds["longest"]
    assert len(found["bytes"]) == 3
