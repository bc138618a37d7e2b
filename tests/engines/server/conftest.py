"""An engine whose server says what follows from all that was before it."""

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from chat.core.engine import State
from chat.core.sampling import OPTIONAL, Sampling
from chat.engines.server import engine as module
from chat.engines.server.connection import Connection
from chat.engines.server.engine import ServerEngine
from chat.engines.server.vllm import Ours
from tests.support.model_server import ModelServer, Running

STOP = 1


def following(ids: Sequence[int]) -> int:
    """Return the id that comes after these."""
    return 2 + (sum(ids) * 7 + len(ids)) % 97


def reply(prompt: Sequence[int], tokens: int) -> list[int]:
    ids = list(prompt)
    for _ in range(tokens):
        ids.append(following(ids))
    return ids[len(prompt) :]


class Following:
    """Gives an id at a time, each of which follows from all ids before it."""

    parallel = 64
    window = 4096
    supports = frozenset(OPTIONAL)
    stop_ids = frozenset({STOP})
    state: State = "ready"

    async def admit(self, sampling: Sampling) -> None:
        pass

    async def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int] = (),
        session: str = "",
    ) -> AsyncGenerator[list[int]]:
        for id in reply(prompt, sampling.max_new_tokens):
            yield [id]

    def close(self) -> None:
        pass


class Rig:
    """A server and the engine that asks it."""

    def __init__(self, key: str = "") -> None:
        self.server = ModelServer(Following())
        self.running = Running(self.server.app)
        self.engine = engine_at(self.running.url, key)

    def close(self) -> None:
        self.engine.close()
        self.running.stop()


def always(*, doubted: bool) -> bool:
    """Take any server for the one that it was."""
    return True


def engine_at(url: str, key: str = "") -> ServerEngine:
    return ServerEngine(Connection(url, key), Ours(OPTIONAL), "tiny", {STOP}, 4096, 64, always)


@contextmanager
def hurried() -> Iterator[None]:
    """Wait for less before something is asked for again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FIRST_WAIT", 0.001)
        patch.setattr(module, "RETRY", 0.01)
        yield


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with hurried():
        rig = Rig()
        yield rig
        rig.close()


@pytest.fixture
def rig_of() -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def make(key: str = "") -> Rig:
        rigs.append(Rig(key))
        return rigs[-1]

    with hurried():
        yield make
        for rig in rigs:
            rig.close()
