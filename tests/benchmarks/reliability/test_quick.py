"""The steps at 2 % of their numbers: nothing that they look for is broken."""

import pytest

from benchmarks import chromium
from benchmarks.reliability.__main__ import QUICK, run
from benchmarks.reliability.steps import STEPS, Step


@pytest.mark.usefixtures("embedded_model")
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_nothing_is_broken(step: Step) -> None:
    if step.name == "longpage" and not chromium.find():
        pytest.skip("no Chromium")
    found = run(step, QUICK)
    assert found.broken == []
    assert found.figures
