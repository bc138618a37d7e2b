"""Each promise, tried once; what comes of it as figures."""

import asyncio
import secrets
import time
from collections import Counter, defaultdict
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise
from typing import Any

import httpx2

from benchmarks.kills.cluster import NODES, Cluster, Victim
from benchmarks.kills.people import People, Told
from chat.load import load
from chat.settings import read

Figures = dict[str, float]

#: How many chat, and the tokens of a reply, and of one of three turns.
COUNT = 8
TOKENS, TURN = 60, 16
#: Those of a reply that nobody waits for the end of.
ENDLESS = 1000
#: How many come when all is full.
LATE = 10
#: Seconds after which those have a place, stand in line, or are refused; and for any answer.
SETTLED, PATIENCE = 2.0, 30.0


async def start(cluster: Cluster, tokens: int) -> tuple[People, Told]:
    """Have a replica on each of two nodes; return people, and their turn that nothing disturbs.

    Its gap is of a second one, as short and as warm as those that are disturbed.
    """
    await asyncio.gather(
        asyncio.to_thread(cluster.add_node), asyncio.to_thread(cluster.deploy, **steady(2))
    )
    await cluster.running(2)
    flags = ["--engine=server", f"--server-url={cluster.url}", "--model=embedded"]
    people = People(await asyncio.to_thread(load, read(flags)), COUNT)
    unbroken = await people.tell(tokens)
    again = await people.tell(TOKENS)
    return people, replace(unbroken, errors=unbroken.errors + again.errors, gap=again.gap)


def steady(count: int) -> dict[str, Any]:
    """Return the options for so many replicas."""
    return {"autoscaling_config": {"min_replicas": count, "max_replicas": count}}


async def kill(cluster: Cluster, people: People, what: Victim, unbroken: Told) -> Figures:
    """Kill something in the midst of all replies, which would have been as in `unbroken`."""
    await cluster.running(2)
    replicas = {replica.pid: replica for replica in cluster.replicas()}
    asked = time.time()
    telling = people.tell(TOKENS)
    await people.written(TOKENS // 4)
    chats = Counter(note.pid for note in cluster.notes(asked, "came"))
    able = [pid for pid in replicas if what not in NODES or not cluster.heads(replicas[pid])]
    victim = max(able, key=lambda pid: chats[pid])
    cluster.kill(what, replicas[victim])
    killed = time.time()
    told = await telling
    return {
        "errors": len(told.errors),
        "same": told.same(unbroken),
        "on it": chats[victim],
        "asked again": len(cluster.notes(killed, "came")),
        "gap (s)": told.gap,
        "over the undisturbed gap (s)": max(0.0, told.gap - unbroken.gap),
    }


async def mend(cluster: Cluster, what: Victim) -> float:
    """Have what was killed replaced; return the seconds until all is there again."""
    begun = time.monotonic()
    if what in NODES:
        await asyncio.to_thread(cluster.add_node)
    await cluster.running(2)
    return time.monotonic() - begun


async def turns(cluster: Cluster, people: People) -> Figures:
    """Have three turns each; return the share of the later ones that found the earlier replica.

    And among how many replicas strangers are shared out, since one for all would be no wonder.
    """
    await cluster.running(2)
    came = time.time()
    first = await people.tell(TURN)
    second = await people.tell(TURN, first)
    await people.tell(TURN, first, second)
    where = defaultdict(list)
    for note in cluster.notes(came, "came"):
        where[note.session].append(note.pid)
    pairs = [pair for pids in where.values() for pair in pairwise(pids)]
    assert len(pairs) == 2 * people.count
    came = time.time()
    async with _client(cluster) as client:
        for _ in range(2):  # at once no more than one replica takes
            await asyncio.gather(*(_stranger(client, 1) for _ in range(COUNT)))
    return {
        "stayed": sum(one == other for one, other in pairs) / len(pairs),
        "replicas": len({note.pid for note in cluster.notes(came, "came")}),
    }


async def cancel(cluster: Cluster, people: People) -> Figures:
    """Have one leave in the midst of a reply; return the seconds until the replica is rid of it."""
    came = time.time()
    async with aclosing(people.ask(0, TOKENS)) as updates:
        async for update in updates:
            if update.tokens:
                break
    left = time.time()
    async with asyncio.timeout(PATIENCE):
        while not (ended := cluster.notes(came, "ended")):
            await asyncio.sleep(0.02)
    return {"freed after (s)": max(0.0, ended[0].time - left)}


async def redeploy(cluster: Cluster, people: People, unbroken: Told, tokens: int) -> Figures:
    """Replace both replicas, each in the midst of replies of so many tokens."""
    await cluster.running(2)
    before = frozenset(replica.pid for replica in cluster.replicas())
    begun, came = time.monotonic(), time.time()
    deploying = asyncio.create_task(asyncio.to_thread(cluster.deploy, **steady(2)))
    told = [await people.tell(tokens)]
    await deploying
    # When the first successor is ready, the second replica goes.
    while {replica.pid for replica in cluster.replicas()} <= before:
        await asyncio.sleep(0.1)
    told.append(await people.tell(tokens))
    await cluster.running(2, but=before)
    return {
        "errors": sum(len(one.errors) for one in told),
        "same": min(one.same(unbroken) for one in told),
        "cut": len(cluster.notes(came, "came")) - len(told) * people.count,
        "replaced after (s)": time.monotonic() - begun,
    }


async def full(cluster: Cluster, _: People) -> Figures:
    """Fill all places and the line, and have more ask then."""
    from deploy.ray_app import OPTIONS  # here, since it wants Ray

    places = 2 * OPTIONS["max_ongoing_requests"] + OPTIONS["max_queued_requests"]
    async with _client(cluster) as client:
        crowd = [
            asyncio.create_task(_stranger(client, ENDLESS, PATIENCE))
            for _ in range(places * 5 // 4)
        ]
        await asyncio.sleep(SETTLED)
        late = await asyncio.gather(*(_stranger(client, ENDLESS) for _ in range(LATE)))
        for task in crowd:
            task.cancel()
        await asyncio.wait(crowd)
        while (
            await _stranger(client, ENDLESS)
        ).status_code != 200:  # until those who left are forgotten
            await asyncio.sleep(0.1)
    return {
        "asked when full": LATE,
        "refused with 429": sum(answer.status_code == 429 for answer in late),
        "told when to ask again": sum("retry-after" in answer.headers for answer in late),
    }


async def autoscale(cluster: Cluster, people: People) -> Figures:
    """Go from one replica to two under load, and back without."""
    quickly = {"upscale_delay_s": 2, "downscale_delay_s": 5, "look_back_period_s": 5}
    sizes = {"min_replicas": 1, "max_replicas": 2, "target_ongoing_requests": 6}
    await asyncio.to_thread(cluster.deploy, autoscaling_config={**sizes, **quickly})
    await cluster.running(1)
    errors = 0
    grown = asyncio.create_task(cluster.running(2))
    while not grown.done():
        errors += len((await people.tell(TOKENS)).errors)
    up = await grown
    return {"errors": errors, "up (s)": up, "down (s)": await cluster.running(1)}


def _client(cluster: Cluster) -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=None)
    return httpx2.AsyncClient(base_url=cluster.url, timeout=PATIENCE, limits=limits)


async def _stranger(client: httpx2.AsyncClient, tokens: int, stay: float = 0) -> httpx2.Response:
    """Have somebody ask whom nobody knows, and go after some seconds."""
    body = {"prompt": [1] * 8, "max_tokens": tokens, "min_tokens": tokens}
    body |= {"stream": True, "return_token_ids": True}
    headers = {"x-session-id": secrets.token_hex(16)}
    async with client.stream("POST", "/v1/completions", json=body, headers=headers) as answer:
        await asyncio.sleep(stay)
    return answer
