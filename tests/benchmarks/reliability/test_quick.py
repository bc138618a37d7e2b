"""The steps at 2 % of their numbers, or less: nothing that they look for is broken."""

import pytest

from benchmarks import chromium
from benchmarks.reliability.__main__ import QUICK, run
from benchmarks.reliability.steps import STEPS, Step

#: Of what starts processes for each of its thousands, less.
SHARES = {"hostile": 0.004}


@pytest.mark.usefixtures("embedded_model")
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_nothing_is_broken(step: Step) -> None:
    if step.name == "longpage" and not chromium.find():
        pytest.skip("no Chromium")
    found = run(step, SHARES.get(step.name, QUICK))
    assert found.broken == []
    assert found.figures
