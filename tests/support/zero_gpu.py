"""A stand-in for the `spaces` package on ZeroGPU, with the manners of its version 0.51.3.

A decorated generator runs in a forked process, in a thread that has never used
torch before; a fork cannot take the threads along that torch has in its parent.
What goes in and out is pickled. After each thing that it yields the process
looks whether it was closed meanwhile. It is used again if it lives and is idle.
What is declared is compared with what is left of a quota, by half an RTX Pro 6000's terms.
"""

import inspect
import multiprocessing
import os
import signal
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from queue import Empty
from threading import Lock
from types import ModuleType, SimpleNamespace
from typing import Any

import gradio as gr

fork = multiprocessing.get_context("fork")


class Worker:
    """One forked process."""

    def __init__(self, task: Callable[..., Any]) -> None:
        self.asked, self.given = fork.SimpleQueue(), fork.Queue()
        self.stop = fork.Event()
        self.busy = True
        self.process = fork.Process(target=self._work, args=[task], daemon=True)
        self.process.start()

    def _work(self, task: Callable[..., Any]) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        while True:
            arguments = self.asked.get()
            self.stop.clear()
            with ThreadPoolExecutor(1) as thread:
                thread.submit(self._iterate, task, arguments).result()

    def _iterate(self, task: Callable[..., Any], arguments: Any) -> None:
        generator = task(*arguments)
        try:
            for item in generator:
                if self.stop.is_set():
                    generator.close()
                    break
                self.given.put(("item", item))
        except Exception as error:
            self.given.put(("error", type(error).__name__))
        else:
            self.given.put(("end", None))

    def get(self) -> tuple[str, Any]:
        while self.process.is_alive():
            try:
                return self.given.get(timeout=0.2)
            except Empty:
                continue
        return "error", "GPU task aborted"


#: As its `configs.json` has them.
RTX_PRO = {"xlarge_threshold": 45_097_156_608, "duration_factor": 1.5}


class Spaces(ModuleType):
    """The module; keeps what was asked of it."""

    def __init__(self) -> None:
        super().__init__("spaces")
        self.workers: list[Worker] = []
        #: Called where Hugging Face is asked for a GPU; may raise gr.Error.
        self.schedule: Callable[[], None] = lambda: None
        self.seconds: list[int] = []
        #: Seconds of quota; None asks for none.
        self.left: int | None = None
        self.zero = SimpleNamespace(config=SimpleNamespace(get_config=lambda: RTX_PRO))
        self._choosing = Lock()

    def GPU(self, task: Any = None, *, duration: Any = None) -> Any:
        if task is None:
            return lambda task: self.GPU(task, duration=duration)
        assert inspect.isgeneratorfunction(task)
        workers: list[Worker] = []

        def decorated(*arguments: Any) -> Generator[Any]:
            self.seconds.append(duration(*arguments))
            self._compare(round(self.seconds[-1] * RTX_PRO["duration_factor"]))
            self.schedule()
            worker = self._idle_one(task, workers)
            worker.asked.put(arguments)
            try:
                while True:
                    what, item = worker.get()
                    if what == "error":
                        raise gr.Error(item, title="ZeroGPU worker error", print_exception=False)
                    if what == "end":
                        return
                    try:
                        yield item
                    except GeneratorExit:
                        worker.stop.set()
                        while worker.get()[0] == "item":
                            pass
                        raise
            finally:
                worker.busy = False

        return decorated

    def _compare(self, asked: int) -> None:
        if self.left is not None and asked > self.left:
            raise gr.Error(
                f"You have exceeded your ZeroGPU quota ({asked}s requested vs. {self.left}s left). "
                "Try again in 0:10:00. ",
                title="ZeroGPU quota exceeded",
                print_exception=False,
            )

    def _idle_one(self, task: Callable[..., Any], workers: list[Worker]) -> Worker:
        with self._choosing:
            for worker in workers:
                if worker.process.is_alive() and not worker.busy:
                    worker.busy = True
                    return worker
            workers.append(Worker(task))
            self.workers.append(workers[-1])
            return workers[-1]

    def kill(self) -> None:
        for worker in self.workers:
            if worker.process.is_alive():
                os.kill(worker.process.pid, signal.SIGKILL)
            worker.process.join()
