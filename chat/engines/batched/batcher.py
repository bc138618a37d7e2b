"""All replies at once: who enters, what each pass reads, and what it brought.

One step is one forward pass, or one for each adapter in use: it reads the last token of every
reply, and a part of the prompts of those that have just entered, so that requests join and leave
while others run (Yu et al., Orca, 2022; Agrawal et al., Sarathi, 2023).
"""

import gc
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from chat.engines.batched.choose import UNSURE, Chooser
from chat.engines.batched.drafts import Drafter
from chat.engines.batched.passes import New, Passes
from chat.engines.batched.pool import PoolCache
from chat.engines.batched.ranges import Range, Ranges
from chat.engines.batched.reply import Reply
from chat.engines.batched.wire import Job
from chat.engines.process import Part
from chat.engines.transformers.guide import Compiled, Guide
from chat.engines.transformers.worker import readable
from chat.errors import describe, out_of_memory

if TYPE_CHECKING:
    from chat.models.lora import Lora

log = logging.getLogger(__name__)

#: Seconds between two looks at what is sent while there is nothing to do but to compile.
PAUSE = 0.01
TOO_LONG = "The model has no memory for a prompt and a reply of this length."

#: Runs a pass: `Passes.run`, or something quicker that gives the same.
Run = Callable[[Sequence[New]], Tensor]


class Batcher:
    """Writes replies to jobs, at most `parallel` at once (see `chat.engines.process.Batcher`).

    A prompt is read in parts of `part` tokens. Replies can be tied down with a `guide`, the
    model has adapters with a `lora`, and what a `drafter` guesses is checked.
    """

    def __init__(
        self,
        passes: Passes,
        pool: PoolCache,
        parallel: int,
        part: int,
        guide: Guide | None = None,
        lora: "Lora | None" = None,
        drafter: Drafter | None = None,
    ) -> None:
        self._passes = passes
        #: See `chat.engines.process.Batcher`; `loading` measures it.
        self.longest = 0.0
        #: What runs a pass: `loading` puts something quicker in its place.
        self.run: Run = passes.run
        self._pool = pool
        self._parallel = parallel
        self._part = part
        self._guide = guide
        self._lora = lora
        self._drafter = drafter
        self._ranges = Ranges(pool.tokens)
        self._chooser = Chooser(parallel, pool.device)
        self._waiting: deque[Job] = deque()
        #: The grammars of those who wait, by the numbers of their jobs. They are compiled one at a
        #: time, beside the steps, and those who come later need not wait for one.
        self._grammars: dict[int, Future[Compiled]] = {}
        self._compiling = ThreadPoolExecutor(1, "grammars")
        self._running: dict[int, Reply] = {}

    @property
    def busy(self) -> bool:
        """See `chat.engines.process.Batcher`."""
        return bool(self._running or self._waiting)

    def take(self, message: Job | int) -> None:
        """See `chat.engines.process.Batcher`."""
        if isinstance(message, Job):
            self._waiting.append(message)
            if self._guide and message.sampling.tied:
                grammar = self._compiling.submit(self._guide.compiled, message.sampling)
                self._grammars[message.number] = grammar
        elif reply := self._running.get(message):
            self._leave(reply)
        else:
            self._waiting = deque(job for job in self._waiting if job.number != message)
            self._forget(message)

    def step(self) -> list[Part]:
        """Let in who fits, run a pass for each adapter, and return what that brought."""
        parts = [Part(job.number, [], "done") for job in self._waiting if ended(job)]
        for part in parts:
            self.take(part.number)
        parts += self._enter()
        if not self._running and self._grammars:
            wait([*self._grammars.values()], PAUSE, "FIRST_COMPLETED")
        adapters = {reply.ranges[0].adapter for reply in self._running.values()}
        for adapter in sorted(adapters):
            if self._lora:
                self._lora.use(adapter)
            replies = [one for one in self._running.values() if one.ranges[0].adapter == adapter]
            parts += self._pass(replies)
        return parts

    def _enter(self) -> list[Part]:
        """Let in who fits, in turn; whose grammar is not compiled yet lets others pass."""
        parts, passed = [], []
        while self._waiting and len(self._running) < self._parallel:
            job = self._waiting[0]
            grammar = self._grammars.get(job.number)
            if grammar and not grammar.done():
                passed.append(self._waiting.popleft())
                continue
            if sum(sizes(job)) > self._pool.tokens:
                parts.append(Part(job.number, [], "failed", reason=TOO_LONG))
                self._waiting.popleft()
                self._forget(job.number)
                continue
            ranges: list[Range] = []
            try:
                for text in texts(job):
                    self._passes.check(text)
                if not self._room(job, ranges):
                    self._give_back(ranges)
                    if self._running:
                        break
                    self._ranges.clear()  # one of its texts was put where the other does not fit
                    continue
                taken = {reply.slot for reply in self._running.values()}
                slot = min({*range(self._parallel)} - taken)
                compiled = grammar.result() if grammar else None
                self._running[job.number] = Reply(job, ranges, self._pool.device, compiled, slot)
                cached = min(ranges[0].length, len(job.prompt))
                parts.append(Part(job.number, [], "running", cached=cached))
            except Exception as error:
                if self._passes.lost():
                    raise
                for one in ranges:
                    self._ranges.free(one)
                parts.append(_failed(job.number, error))
            self._waiting.popleft()
            self._forget(job.number)
        self._waiting.extendleft(reversed(passed))
        return parts

    def _forget(self, number: int) -> None:
        """Let go of the grammar of a job that does not wait any more."""
        if number in self._grammars:
            self._grammars.pop(number).cancel()

    def _room(self, job: Job, ranges: list[Range]) -> bool:
        """Add a range for each of its texts to `ranges`; return whether there is room for all."""
        adapter = job.sampling.adapter or (self._lora.default if self._lora else "")
        for text, size in zip(texts(job), sizes(job), strict=True):
            entered = self._ranges.enter(text, size, adapter)
            if not entered:
                return False
            one, source = entered
            ranges.append(one)
            self._pool.copy(source, one.start, one.length)
            if self._drafter:
                self._drafter.copy(source, one)
        return True

    def _pass(self, replies: Sequence[Reply]) -> list[Part]:
        """Read what these replies have that is new, and write what follows."""
        drafts = self._drafts(replies)
        asked = list(self._news(replies, drafts))
        scores = None
        try:
            scores = self._run([new for _, new in asked])
        except Exception as error:
            if self._passes.lost():
                raise
            if len({reply.job.number for reply, _ in asked}) < 2:
                return [self._fail(asked[0][0], error)]
        if scores is None:
            # Whose fault it is shows when each has a pass of its own; by now nothing holds the
            # memory that this one took.
            return [part for reply in replies for part in self._pass([reply])]
        divided = torch.split(scores, [new.scores for _, new in asked])
        for (reply, new), own in zip(asked, divided, strict=True):
            new.range.length += len(new.ids) - len(drafts.get(reply, ()))
            if new.scores:
                reply.scores[new.range] = own
        ready = [reply for reply in replies if len(reply.scores) == len(reply.ranges)]
        return self._write(ready, drafts)

    def _run(self, news: Sequence[New]) -> Tensor:
        """Run a pass, and once more if the memory for it lay about in pieces."""
        try:
            return self.run(news)
        except Exception as error:
            if not out_of_memory(error) or self._passes.lost():
                raise
        gc.collect()
        torch.cuda.empty_cache()
        return self.run(news)

    def _news(
        self, replies: Sequence[Reply], drafts: dict[Reply, list[int]]
    ) -> Iterable[tuple[Reply, New]]:
        """Give what each reads now: the last token, or a part of the prompt."""
        left = self._part
        for reply in replies:
            draft = drafts.get(reply, [])
            for one in reply.ranges:
                unread = one.ids[one.length :]
                if len(unread) == 1:
                    yield reply, New(one, [*unread, *draft], 1 + len(draft))
                elif unread and left:
                    some = unread[:left]
                    left -= len(some)
                    yield reply, New(one, some, int(len(some) == len(unread)))

    def _drafts(self, replies: Sequence[Reply]) -> dict[Reply, list[int]]:
        """Return what is guessed to follow, for those that can be helped so."""
        if not self._drafter:
            return {}
        able = [
            reply
            for reply in replies
            if not reply.job.sampling.needs()
            and len(reply.ranges[0].ids) == reply.ranges[0].length + 1
            and reply.left > 1
        ]
        try:
            return self._drafter.drafts(able)
        except Exception as error:
            if self._passes.lost():
                raise
            log.error("Nothing is guessed any more: %s", describe(error))
            self._drafter = None
            return {}

    def _write(self, replies: Sequence[Reply], drafts: dict[Reply, list[int]]) -> list[Part]:
        """Choose what follows in each reply; and go on while that is what was guessed."""
        written: dict[Reply, list[int]] = {reply: [] for reply in replies}
        failed, going, place = list[Part](), list(replies), 0
        while going:
            scores = {reply: reply.scores[reply.ranges[0]][place] for reply in going}
            chosen = self._chosen(scores, place, failed)
            going = []
            for reply in scores:
                id = chosen.get(reply)
                if id is None:
                    del written[reply]
                    continue
                written[reply].append(reply.take(id, scores[reply]))
                guessed = drafts.get(reply, [])[place : place + 1] == [id]
                if guessed and not reply.ended:
                    reply.ranges[0].length += 1
                    going.append(reply)
            place += 1
        parts = failed
        for reply, given in written.items():
            reply.scores.clear()
            done = reply.ended
            parts.append(Part(reply.job.number, given, "done" if done else "running"))
            if done:
                self._leave(reply)
        return parts

    def _chosen(
        self, scores: dict[Reply, Tensor], place: int, failed: list[Part]
    ) -> dict[Reply, int]:
        """Return the ids that follow by the scores, each [vocabulary], but of those that fail."""
        usual = {reply: own for reply, own in scores.items() if reply.usual}
        found = self._each([reply for reply in scores if reply not in usual], place, failed)
        unsure = list(usual)
        if usual:
            try:
                together = self._chooser.choose(list(usual), list(usual.values()))
                found |= dict(zip(usual, torch.split(together, 1), strict=True))
                unsure = []
            except Exception as error:  # whose fault it is shows when each is by itself
                if self._passes.lost():
                    raise
                log.warning("Tokens are chosen one by one (%s).", type(error).__name__)
        known = _known(found)
        unsure += [reply for reply, id in known.items() if id == UNSURE]
        sure = {reply: id for reply, id in known.items() if id != UNSURE}
        return sure | _known(self._each(unsure, place, failed))

    def _each(
        self, replies: Sequence[Reply], place: int, failed: list[Part]
    ) -> dict[Reply, Tensor]:
        """Return the ids that follow in these replies, each [1] and chosen by itself."""
        found = {}
        for reply in replies:
            prompt, *negative = (reply.scores[one][place] for one in reply.ranges)
            try:
                found[reply] = reply.chosen(prompt, negative[0] if negative else None)
            except Exception as error:
                if self._passes.lost():
                    raise
                failed.append(self._fail(reply, error))
        return found

    def _leave(self, reply: Reply) -> None:
        del self._running[reply.job.number]
        self._give_back(reply.ranges)

    def _give_back(self, ranges: Sequence[Range]) -> None:
        for one in ranges:
            self._ranges.leave(one)

    def _fail(self, reply: Reply, error: Exception) -> Part:
        del self._running[reply.job.number]
        for one in reply.ranges:
            self._ranges.free(one)
        return _failed(reply.job.number, error)


def texts(job: Job) -> list[list[int]]:
    """Return what is read before the next token of a reply is known."""
    prompts = [job.prompt, job.negative] if job.negative else [job.prompt]
    return [[*prompt, *job.written] for prompt in prompts]


def sizes(job: Job) -> list[int]:
    """Return how many tokens each of them can come to have."""
    left = job.sampling.max_new_tokens - len(job.written)
    return [len(text) + left for text in texts(job)]


def ended(job: Job) -> bool:
    """Whether nothing is left to write of it."""
    stopped = bool(job.written) and job.written[-1] in job.stop_ids
    return stopped or len(job.written) >= job.sampling.max_new_tokens


def _known(ids: dict[Reply, Tensor]) -> dict[Reply, int]:
    """Wait for ids, each [1], and return them."""
    return dict(zip(ids, torch.cat([*ids.values()]).tolist(), strict=True)) if ids else {}


def _failed(number: int, error: Exception) -> Part:
    return Part(number, [], "failed", reason=str(readable(error)))
