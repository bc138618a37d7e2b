"""`chat.engines.transformers.decode` as an engine, to watch it at work."""

from collections.abc import Callable, Iterable, Sequence

from transformers import PreTrainedModel

from chat.core.sampling import Sampling
from chat.engines.transformers.decode import Step, decode
from chat.engines.transformers.engine import TransformersEngine


class LoopEngine(TransformersEngine):
    """The transformers engine with `decode` in place of `model.generate`.

    It is greedy whatever the sampling says. `show` is called with the number of
    each step, from 0 on, and the step, from the worker thread.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        stop_ids: Iterable[int],
        window: int,
        show: Callable[[int, Step], None],
    ) -> None:
        self._show: Callable[[int, Step], None] = lambda *_: None  # while the model warms up
        super().__init__(model, stop_ids, window)
        self._show = show
        self.supports = frozenset()

    def _generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        put: Callable[..., None],
        negative: Sequence[int] = (),
    ) -> None:
        steps = decode(self._model, prompt, sampling.max_new_tokens, self.stop_ids)
        for number, step in enumerate(steps):
            self._show(number, step)
            put(step.id)
