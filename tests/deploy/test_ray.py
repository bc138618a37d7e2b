"""The backend on a real Ray: two nodes on this machine, a replica on each, eight people.

In an environment of its own (deploy/requirements.txt); `.ci/run` makes one. What is promised here
once `python -m benchmarks.kills` tries many times.
"""

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio

pytest.importorskip("ray", reason="no ray: it is in deploy/requirements.txt alone")

from benchmarks.kills import steps
from benchmarks.kills.cluster import Cluster, Victim
from benchmarks.kills.people import People, Told
from tests.support.ports import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Scene(NamedTuple):
    cluster: Cluster
    people: People
    unbroken: Told


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene() -> AsyncIterator[Scene]:
    with Cluster(free_port) as cluster:
        people, unbroken = await steps.start(cluster, 2 * steps.TOKENS)
        assert not unbroken.errors
        yield Scene(cluster, people, unbroken)


async def kill(scene: Scene, what: Victim) -> float:
    """Kill something, and return by how much the longest wait was longer than without."""
    found = await steps.kill(scene.cluster, scene.people, what, scene.unbroken)
    assert found["asked again"] >= found["on it"] > 0
    assert found["errors"] == 0
    assert found["same"] == scene.people.count
    return found["over the undisturbed gap (s)"]


async def test_a_conversation_stays_where_it_has_been_read(scene: Scene) -> None:
    found = await steps.turns(scene.cluster, scene.people)
    assert found["stayed"] >= 0.95
    assert found["replicas"] == 2


async def test_nobody_notices_that_a_replica_is_killed(scene: Scene) -> None:
    assert await kill(scene, "replica") <= 3


async def test_who_leaves_frees_a_place_within_a_second(scene: Scene) -> None:
    found = await steps.cancel(scene.cluster, scene.people)
    assert found["freed after (s)"] <= 1


async def test_who_comes_when_all_is_full_is_told_when_to_ask_again(scene: Scene) -> None:
    found = await steps.full(scene.cluster, scene.people)
    assert found["refused with 429"] == found["told when to ask again"] == found["asked when full"]


async def test_nobody_notices_that_the_process_of_an_engine_is_killed(scene: Scene) -> None:
    assert await kill(scene, "child") <= 3


async def test_nobody_is_cut_by_a_redeploy(scene: Scene) -> None:
    found = await steps.redeploy(*scene, 2 * steps.TOKENS)
    assert found["errors"] == found["cut"] == 0
    assert found["same"] == scene.people.count


async def test_nobody_notices_that_a_node_is_killed(scene: Scene) -> None:
    assert await kill(scene, "node") <= 8
