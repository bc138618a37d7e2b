"""Every engine with a tiny model, and what the contract must be able to do to each of them."""

import multiprocessing
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from transformers import GenerationConfig, PreTrainedModel

from chat.core.engine import Engine
from chat.core.sampling import Sampling
from chat.engines.batched.engine import BatchedEngine
from chat.engines.batched.wire import Plan
from chat.engines.openvino.engine import EXACT, OpenVINOEngine
from chat.engines.server.connection import Connection
from chat.engines.server.engine import ServerEngine
from chat.engines.server.vllm import Ours
from chat.engines.stream import TICK
from chat.engines.transformers.engine import TransformersEngine
from chat.engines.transformers.loop import LoopEngine
from chat.errors import EngineError
from tests.support import tiny_models
from tests.support.batches import greedy
from tests.support.fakes import END, ScriptedEngine
from tests.support.model_server import ModelServer, Running
from tests.support.zero_gpu import Spaces

fork = multiprocessing.get_context("fork")

PROMPT = [5, 6, 7, 8]
WRITTEN = "what somebody wrote"


class Subject(ABC):
    """One kind of engine. `engine` is made once, for all tests of a module."""

    #: As the only stop id: this model hardly ever picks it greedily.
    never = 1
    #: How many people ask it at once here.
    people = 16
    #: Forward passes that it may make after its reply was closed.
    late = 1
    #: Seconds for which its threads may still be ending once it is closed.
    ending = 0.0

    def __init__(self) -> None:
        self.engine = self.make({self.never})

    @abstractmethod
    def make(self, stop_ids: set[int], window: int = 4096) -> Engine:
        """Return another engine of this kind."""

    def reference(self, prompt: list[int], tokens: int) -> list[int] | None:
        """Return the right greedy reply, if it is known to the last token."""
        return None

    def stopping(self, reply: list[int]) -> tuple[Engine, list[int]]:
        """Return an engine that ends within `reply`, and what it gives of it."""
        stop = next(id for id in reply if id != reply[0])
        return self.make({stop, self.never}), reply[: reply.index(stop) + 1]

    def passes(self) -> int:
        """Return how many forward passes there were."""
        return 0

    @abstractmethod
    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the engine from going on."""

    @contextmanager
    def held_after(self, passes: int) -> Iterator[None]:
        """Keep it from going on after so many forward passes, if it can be held there."""
        yield

    def wait_until_held(self) -> bool:
        """Wait until those passes were made; whether they were."""
        return True

    @contextmanager
    def failing(self, tokens: int) -> Iterator[Sampling]:
        """Have replies fail; gives the sampling to ask for one with."""
        yield greedy(tokens)

    def children(self) -> set[int]:
        """Return the processes that this one started, but for those that are not the engine's."""
        return {process.pid for process in psutil.Process().children()}

    def logprobs(self, ids: list[int]) -> torch.Tensor:
        """Return the log probabilities of a plain forward pass, [tokens, vocabulary]."""
        raise NotImplementedError

    def close(self) -> None:
        self.engine.close()


def generated(prompt: list[int], tokens: int) -> list[int]:
    """Return what `model.generate` writes greedily."""
    config = GenerationConfig(max_new_tokens=tokens, do_sample=False, pad_token_id=0)
    ids = tiny_models.llama().generate(torch.tensor([prompt]), generation_config=config)
    return ids[0, len(prompt) :].tolist()


def plain_logprobs(ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return tiny_models.llama()(torch.tensor([ids])).logits[0].log_softmax(-1)


@contextmanager
def suspended(process: psutil.Process) -> Iterator[None]:
    process.suspend()
    try:
        yield
    finally:
        process.resume()


class Hooked:
    """A hook before each forward pass of a model, in forked processes too."""

    def __init__(self) -> None:
        self.passes = fork.Value("i", 0)
        self.left = fork.Value("i", -1)
        self.broken = fork.Value("b", 0)
        self.free, self.held = fork.Event(), fork.Event()

    def hold_after(self, passes: int) -> None:
        self.free.clear()
        self.held.clear()
        self.left.value = passes

    def release(self) -> None:
        self.left.value = -1
        self.free.set()

    def __call__(self, *_: Any) -> None:
        with self.left.get_lock():
            hold = self.left.value == 0
            self.left.value -= self.left.value > 0
        if hold:
            self.held.set()
            assert self.free.wait(20)
        if self.broken.value:
            raise ValueError(WRITTEN)
        with self.passes.get_lock():
            self.passes.value += 1


class Transformers(Subject):
    never = 115

    def __init__(self) -> None:
        self.hook = Hooked()
        super().__init__()

    def model(self) -> PreTrainedModel:
        model = tiny_models.llama()
        model.register_forward_pre_hook(self.hook)
        return model

    def make(self, stop_ids: set[int], window: int = 4096) -> Engine:
        return TransformersEngine(self.model(), stop_ids, window)

    def reference(self, prompt: list[int], tokens: int) -> list[int] | None:
        return generated(prompt, tokens)

    def logprobs(self, ids: list[int]) -> torch.Tensor:
        return plain_logprobs(ids)

    def passes(self) -> int:
        return self.hook.passes.value

    @contextmanager
    def held(self) -> Iterator[None]:
        with self.held_after(0):
            yield

    @contextmanager
    def held_after(self, passes: int) -> Iterator[None]:
        self.hook.hold_after(passes)
        try:
            yield
        finally:
            self.hook.release()

    def wait_until_held(self) -> bool:
        return self.hook.held.wait(20)

    @contextmanager
    def failing(self, tokens: int) -> Iterator[Sampling]:
        self.hook.broken.value = 1
        yield greedy(tokens)
        self.hook.broken.value = 0


class Loop(Transformers):
    def make(self, stop_ids: set[int], window: int = 4096) -> Engine:
        return LoopEngine(self.model(), stop_ids, window, lambda number, step: None)


class ZeroGPU(Transformers):
    people = 4
    #: It hears of it at its next token, over two pipes, and goes on meanwhile.
    late = 200
    #: Each reply has a thread, whose last word is that the reply has ended.
    ending = 20.0

    def __init__(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.spaces = Spaces()
        self.patch.setitem(sys.modules, "spaces", self.spaces)
        self.patch.delitem(sys.modules, "chat.engines.transformers.zero_gpu", raising=False)
        super().__init__()

    def make(self, stop_ids: set[int], window: int = 4096) -> Engine:
        module = import_module("chat.engines.transformers.zero_gpu")
        engine: Engine = module.ZeroGPUEngine(self.model(), stop_ids, window)
        return engine

    def close(self) -> None:
        super().close()
        self.spaces.kill()
        self.patch.undo()

    def children(self) -> set[int]:
        return super().children() - {worker.process.pid for worker in self.spaces.workers}


class OpenVINO(Subject):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        before = set(psutil.Process().children())
        super().__init__()
        [self.process] = set(psutil.Process().children()) - before

    def make(self, stop_ids: set[int], window: int = 4096) -> Engine:
        engine = OpenVINOEngine(self.folder, window, parallel=8, properties=EXACT)
        return engine.start(stop_ids)

    @contextmanager
    def held(self) -> Iterator[None]:
        with suspended(self.process):
            yield

    @contextmanager
    def failing(self, tokens: int) -> Iterator[Sampling]:
        # What no check lets through, and what OpenVINO refuses.
        yield greedy(tokens).model_copy(update={"temperature": 1.0, "top_p": -1.0})


class Batched(Subject):
    """The model of the others, in a process of its own."""

    never = 115

    def __init__(self) -> None:
        before = set(psutil.Process().children())
        super().__init__()
        [self.process] = set(psutil.Process().children()) - before

    def make(self, stop_ids: set[int], window: int = 4096) -> Engine:
        plan = Plan(Path(), Path(), window, parallel=8, loader="tests.support.batched:tiny")
        return BatchedEngine(plan).start(stop_ids)

    def reference(self, prompt: list[int], tokens: int) -> list[int] | None:
        return generated(prompt, tokens)

    def logprobs(self, ids: list[int]) -> torch.Tensor:
        return plain_logprobs(ids)

    @contextmanager
    def held(self) -> Iterator[None]:
        with suspended(self.process):
            yield

    @contextmanager
    def failing(self, tokens: int) -> Iterator[Sampling]:
        # What no check lets through: a token that there is not.
        yield greedy(tokens).model_copy(update={"logit_bias": {-(10**6): 1.0}})


class Served(ServerEngine):
    """One whose server ends with it."""

    def __init__(self, engine: Engine) -> None:
        self.behind = engine
        self.server = Running(ModelServer(engine).app)
        dialect = Ours(engine.supports)
        connection = Connection(self.server.url, "key")
        super().__init__(
            connection, dialect, "tiny", engine.stop_ids, engine.window, 64, lambda *, doubted: True
        )

    def close(self) -> None:
        super().close()
        self.server.stop()
        self.behind.close()


class Server(Transformers):
    """The model of the others behind HTTP, in a thread of this process."""

    #: Its server hears of it when the connection ends, and the model goes on meanwhile.
    late = 50

    def make(self, stop_ids: set[int], window: int = 4096) -> Engine:
        return Served(super().make(stop_ids, window))


class Scripted(Subject):
    """The stand-in that other tests use in place of an engine."""

    late = 0

    def __init__(self) -> None:
        self.broken = False
        self.engine: ScriptedEngine
        super().__init__()

    def make(self, stop_ids: set[int], window: int = 4096) -> Engine:
        engine = ScriptedEngine(self.speak, pace=0.001)
        engine.supports = frozenset({"logprobs", "top_logprobs"})
        return engine

    def stopping(self, reply: list[int]) -> tuple[Engine, list[int]]:
        return ScriptedEngine(lambda prompt: "".join(map(chr, reply[:7]))), [*reply[:7], END]

    def speak(self, prompt: str) -> str:
        if self.broken:
            raise EngineError("The script failed.")
        reply = self.reference([ord(letter) for letter in prompt], 600)
        return "".join(map(chr, reply))

    def reference(self, prompt: list[int], tokens: int) -> list[int]:
        return [100 + (sum(prompt) + at * at) % 89 for at in range(tokens)]

    def passes(self) -> int:
        return self.engine.given

    @contextmanager
    def held(self) -> Iterator[None]:
        self.engine.reading = 3 * TICK
        yield
        self.engine.reading = 0

    @contextmanager
    def failing(self, tokens: int) -> Iterator[Sampling]:
        self.broken = True
        yield greedy(tokens)
        self.broken = False


#: How each is made, given a folder with an OpenVINO model.
SUBJECTS: dict[str, Callable[[Path], Subject]] = {
    "transformers": lambda folder: Transformers(),
    "loop": lambda folder: Loop(),
    "zero_gpu": lambda folder: ZeroGPU(),
    "openvino": OpenVINO,
    "batched": lambda folder: Batched(),
    "server": lambda folder: Server(),
    "scripted": lambda folder: Scripted(),
}
