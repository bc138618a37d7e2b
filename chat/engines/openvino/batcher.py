"""The process that runs an OpenVINO model: it steps while there is work.

One step of `openvino_genai.ContinuousBatchingPipeline` reads a part of the new
prompts and writes one token of every running reply, all in one batch, so that
requests join and leave while others run (Yu et al., Orca, 2022). A step keeps
Python's interpreter lock from its first to its last instruction, so that in
the server's own process everyone would wait for it; hence a process.

It speaks over one pipe (see `chat.engines.process`).
"""

import os
import re
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import openvino as ov
import openvino_genai as genai

from chat.engines.openvino.compiler import Compiler
from chat.engines.openvino.wire import GRAMMAR_BYTES, STEP_TOKENS, Applied, Job, Plan
from chat.engines.process import Part, work
from chat.errors import ModelError

#: How many kernels OpenVINO keeps, and how many oneDNN does below it. Each is made for a number of
#: tokens, of which every step may have another one: with what they are by default, 5,000 and 1,024,
#: a process grows for hours. These are enough for some steps, and cost nothing that was measured.
KERNELS = {"CPU_RUNTIME_CACHE_CAPACITY": "64"}
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")

#: What OpenVINO says of files that are not whole.
DAMAGED = re.compile(r"Unable to read the model|bin file|at offset \d")
#: Seconds between two looks at what is sent while there is nothing to do but to compile.
PAUSE = 0.01
STATES: dict[Any, Literal["running", "done", "failed"]] = {
    genai.GenerationStatus.RUNNING: "running",
    genai.GenerationStatus.FINISHED: "done",
    genai.GenerationStatus.CANCEL: "done",
}


@dataclass
class Lane:
    """A pipeline, the blocks of its KV cache, and how many of them nobody has been promised."""

    pipeline: Any
    blocks: int
    free: int


class Batcher:
    """Runs jobs, each in the pipeline of its adapter.

    A job enters when the KV cache has room for the whole of it, prompt and
    longest reply; until then it waits, first come, first served. So no reply is
    ever cut, or read a second time, for want of room.

    Where tokens can be drafted, another pipeline does that, for a job that has nobody beside it
    when it enters: in a batch OpenVINO (2026.4.1) takes other jobs' tokens for those of a
    draft, and it pays least there.

    Raises:
        RuntimeError: OpenVINO cannot load the model, or failed in a step.
    """

    def __init__(self, plan: Plan) -> None:
        plan = plan._replace(properties=KERNELS | plan.properties)
        tokenizer = genai.Tokenizer(plan.folder)
        self.longest = 0.0
        #: By the name of the adapter, and whether it drafts.
        self._lanes: dict[tuple[str, bool], Lane] = {}
        for name, adapter in plan.adapters.items():
            for drafts in (False, True) if plan.drafting else (False,):
                blocks = plan.drafting_blocks if drafts else plan.blocks
                pipeline = _pipeline(plan, tokenizer, adapter, blocks, drafts=drafts)
                self._lanes[name, drafts] = Lane(pipeline, blocks, blocks)
        self._compiler = Compiler(tokenizer, plan.vocabulary) if plan.vocabulary else None
        #: Whether what has been compiled can be used, by what it is.
        self._compiled: dict[str, bool] = {}
        self._compiled_bytes = 0
        self._compiling: threading.Thread | None = None
        #: Who is held to a grammar, and has no token yet.
        self._beginning: set[int] = set()
        self._waiting: deque[Job] = deque()
        self._running: dict[int, tuple[Job, Lane, Any]] = {}

    @property
    def busy(self) -> bool:
        """Whether there is anything to step for."""
        return bool(self._running or self._waiting)

    @property
    def cache_bytes(self) -> int:
        """The size of the KV cache, known from the first step on."""
        lanes = self._lanes.values()
        return sum(int(lane.pipeline.get_metrics().cache_size_in_bytes) for lane in lanes)

    def warm_up(self, job: Job) -> None:
        """Run a job in each pipeline, and see how long a step with one token takes."""
        for adapter, drafts in self._lanes:
            drafting = job.drafting if drafts else {}
            self.take(job._replace(adapter=adapter, drafting=drafting))
            seconds = []
            while self.busy:
                begun = time.monotonic()
                self.step()
                seconds.append(time.monotonic() - begun)
            # Many tokens of a prompt take less than as many steps of one.
            self.longest = max(self.longest, STEP_TOKENS * min(seconds))

    def take(self, message: Job | int) -> None:
        """Take up a job, or cancel the one with this number."""
        if isinstance(message, Job):
            self._waiting.append(message)
        elif message in self._running:
            self._running[message][2].cancel()  # the next step takes it out
        else:
            self._waiting = deque(one for one in self._waiting if one.number != message)

    def step(self) -> list[Part]:
        """Let in who fits, run one step, and return what it brought."""
        parts = self._enter()
        if not self._running:
            if self._compiling:
                self._compiling.join(PAUSE)
            return parts
        for lane in self._lanes.values():
            if lane.pipeline.has_non_finished_requests():
                lane.pipeline.step()
        for number, (job, lane, handle) in list(self._running.items()):
            ids: list[int] = []
            logprobs: list[float] = []
            while handle.can_read():
                for output in handle.read().values():
                    ids += output.generated_ids
                    if job.options.get("logprobs"):
                        logprobs += output.generated_log_probs
            state = STATES.get(handle.get_status(), "failed")
            if ids or state != "running":
                self._beginning.discard(number)
            if state != "running":
                del self._running[number]
                lane.free += job.blocks
            if ids or state != "running":
                parts.append(Part(number, ids, state, logprobs))
        return parts

    def _enter(self) -> list[Part]:
        """Let in who fits, in turn; whose grammar is not compiled yet lets others pass.

        But none that are held to a grammar too, or it might never be compiled (see `_prepared`).
        """
        parts: list[Part] = []
        passed: list[Job] = []
        while self._waiting:
            job = self._waiting[0]
            drafts = bool(job.drafting) and not self._running
            lane = self._lanes[job.adapter, drafts]
            if lane.free < job.blocks <= lane.blocks:
                break
            self._waiting.popleft()
            if job.blocks > lane.blocks:  # it would wait for ever, and all behind it
                parts.append(Part(job.number, [], "failed"))
                continue
            if job.ties and (passed or not self._prepared(job)):
                passed.append(job)
                continue
            try:
                if job.ties and not self._compiled[repr(job.ties)]:
                    raise RuntimeError
                handle = lane.pipeline.add_request(
                    job.number,
                    ov.Tensor(np.array([job.prompt], dtype=np.int64)),
                    _config(**{**job.options, **(job.drafting if drafts else {})}),
                )
            except RuntimeError:  # options that OpenVINO refuses; the others go on
                parts.append(Part(job.number, [], "failed"))
                continue
            lane.free -= job.blocks
            self._running[job.number] = job, lane, handle
            if job.ties:
                self._beginning.add(job.number)
        self._waiting.extendleft(reversed(passed))
        return parts

    def _prepared(self, job: Job) -> bool:
        """Whether a grammar is compiled; if not, that is begun as soon as it can be.

        OpenVINO has a lock that it holds while it compiles, and takes when a reply that is
        held to a grammar gets its first token; so neither is done beside the other.
        """
        if self._compiling and self._compiling.is_alive():
            return False
        self._compiling = None
        if repr(job.ties) in self._compiled:
            return True
        if not self._beginning:
            self._compiling = threading.Thread(target=self._compile, args=[job], daemon=True)
            self._compiling.start()
        return False

    def _compile(self, job: Job) -> None:
        """Compile a grammar (a thread of its own)."""
        with suppress(OSError):  # of this thread alone, and of those that it starts
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        try:
            if not self._compiler:
                raise RuntimeError
            if self._compiled_bytes + job.grammar_bytes > GRAMMAR_BYTES:
                self._compiler.forget()
                self._compiled.clear()
                self._compiled_bytes = 0
            self._compiled_bytes += job.grammar_bytes
            self._compiler.write(job.ties)
            self._compiled[repr(job.ties)] = True
        except Exception:  # whatever it is, it would be tried again and again
            self._compiled[repr(job.ties)] = False


def _pipeline(
    plan: Plan, tokenizer: Any, adapter: Applied | None, blocks: int, *, drafts: bool
) -> Any:
    scheduling = genai.SchedulerConfig()
    scheduling.num_kv_blocks = blocks
    scheduling.max_num_batched_tokens = STEP_TOKENS
    scheduling.enable_prefix_caching = True
    properties = dict(plan.properties)
    if drafts:
        properties |= plan.drafting
        if folder := properties.pop("draft_model", None):
            properties["draft_model"] = genai.draft_model(folder, "CPU", **plan.properties)
    if adapter:
        # The other modes, but for fusing, leave it out of what is asked by `add_request`.
        properties["adapters"] = genai.AdapterConfig(
            genai.Adapter(adapter.file), adapter.scale, genai.AdapterConfig.Mode.MODE_STATIC
        )
    return genai.ContinuousBatchingPipeline(plan.folder, tokenizer, scheduling, "CPU", **properties)


def _config(
    structured_output_config: dict[str, str] | None = None, **options: Any
) -> genai.GenerationConfig:
    config = genai.GenerationConfig(**options)
    if structured_output_config:
        config.structured_output_config = genai.StructuredOutputConfig(**structured_output_config)
    return config


def load(plan: Plan) -> tuple[Batcher, int]:
    """Return what `plan` asks for, ready to work, and the bytes of its KV cache.

    Raises:
        ModelError: OpenVINO cannot load it.
    """
    try:
        batcher = Batcher(plan)
        batcher.warm_up(plan.warm_up)
    except Exception as error:  # whatever a model's files led it to
        reason = str(error).strip().rpartition("\n")[2].rstrip(".")
        if "json.exception" in reason:
            reason = "its generation_config.json, or another of its JSON files, is damaged"
        elif isinstance(error, ValueError) or DAMAGED.search(reason):
            reason = "one of its files is damaged"
        raise ModelError(f"OpenVINO cannot run this model: {reason}.") from None
    return batcher, batcher.cache_bytes


if __name__ == "__main__":
    work(load)
