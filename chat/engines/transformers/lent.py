"""For how long a reply can take a GPU that is lent by the second, as on ZeroGPU.

ZeroGPU compares what is declared beforehand with what is left of a person's daily quota,
and ends what takes longer; in the end it counts what was taken. So too little costs the
reply, and too much has it refused. The first replies are estimated from the size of the
model, and from then on by how fast the last ones were written.
"""

import math
from collections import deque

from transformers import PreTrainedModel

#: Seconds of quota that everyone has a day, those without an account too (hub docs, August
#: 2026). No reply declares more, for it would be refused to them however little they had used.
QUOTA = 120
#: Seconds until a forked process has its GPU, and bytes of weights that it then moves there in
#: a second. Estimates for half an RTX Pro 6000, on the careful side, as all that follow.
BEGIN, MOVED = 8, 2e9
#: Bytes of weights by tokens of prompt that it reads in a second: 4,000 tokens with 4 GB.
READ = 16e12
#: Seconds that each layer takes to be started for a token, and bytes of weights read in one.
LAYER, BANDWIDTH = 1e-3, 400e9
#: Of how many replies the slowest counts, from how many tokens on, and with how much to spare.
REPLIES, TOKENS, SPARE = 8, 32, 1.5


class Lent:
    """What is known of the speed of `model`.

    A declared second is lent as `factor` seconds, and taken for `price` seconds of quota.
    """

    def __init__(self, model: PreTrainedModel, factor: float, price: float) -> None:
        size = sum(part.nbytes for part in model.parameters())
        layers: int = model.config.get_text_config(decoder=True).num_hidden_layers
        self._begin = BEGIN + size / MOVED
        self._read = size / READ
        self._step = layers * LAYER + size / BANDWIDTH
        self._measured: deque[float] = deque(maxlen=REPLIES)
        self._factor = factor
        self._longest = int(QUOTA / price)

    def seconds(self, read: int, tokens: int, passes: int = 1) -> int:
        """Return what to declare for a reply of so many tokens, after a prompt of `read` tokens.

        Each token takes so many forward passes.
        """
        slowest = max(self._measured) * SPARE if self._measured else self._step
        # What was drafted from its prompt came faster than the next reply may.
        step = max(slowest, self._step / 2)
        taken = self._begin + read * self._read + tokens * passes * step
        return min(math.ceil(taken / self._factor), self._longest)

    def took(self, seconds: float, tokens: int, passes: int = 1) -> None:
        """Take note of how long a reply took, from its first token to the last of so many more."""
        if tokens >= TOKENS:
            self._measured.append(seconds / tokens / passes)
