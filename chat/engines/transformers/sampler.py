"""Drawing the next token among the few likeliest, instead of sorting the whole vocabulary.

The distribution is that of transformers: the repetition penalty (Keskar et al.,
CTRL, 2019), then the temperature, then top-k, then top-p (Holtzman et al., The
Curious Case of Neural Text Degeneration, 2020), then min-p (Nguyen et al., Turning
Up the Heat, 2024).
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from transformers import LogitsProcessor

from chat.core.sampling import Sampling

#: Where top-p alone limits them: how many of the likeliest tokens are looked at
#: first, and by what factor more while they do not make up its share.
FIRST, FACTOR = 64, 8


class Penalties(LogitsProcessor):
    """Takes from the scores of tokens that the reply has, as OpenAI's API defines it.

    `presence` once, and `frequency` for each time; the first `prompt` tokens do not count.
    """

    def __init__(self, prompt: int, presence: float, frequency: float) -> None:
        self._prompt = prompt
        self._presence = presence
        self._frequency = frequency

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return `scores` ([1, vocabulary], changed in place); `input_ids` is [1, tokens]."""
        times = input_ids[0, self._prompt :].bincount(minlength=scores.shape[1])
        scores -= self._presence * (times > 0) + self._frequency * times
        return scores


class Biases(LogitsProcessor):
    """Adds to the scores of tokens, by their ids, as OpenAI's API defines `logit_bias`."""

    def __init__(self, biases: Mapping[int, float]) -> None:
        self._biases = biases

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return `scores` ([1, vocabulary], changed in place); ids beyond it have none."""
        known = {id: bias for id, bias in self._biases.items() if id < scores.shape[1]}
        scores[0, list(known)] += scores.new_tensor(list(known.values()))
        return scores


class Sampler(LogitsProcessor):
    """Draws one token at each call, and makes it the likeliest, for a greedy `generate`.

    Where the reply is `drafted`, each of its places has one random number, however often it
    is asked and whatever the scores are. So a draft can be checked against what is drawn,
    and the reply is the one that is drawn without. The random generator is its own, so a
    seed gives the same reply whatever else is drawn in this process; and the same one where so
    many tokens of it are `written` already, and it goes on.
    """

    def __init__(
        self,
        sampling: Sampling,
        device: torch.device,
        *,
        drafted: bool = False,
        written: int = 0,
    ) -> None:
        self._sampling = sampling
        self._drafted = drafted
        #: Where the reply begins, and the numbers of its places.
        self._begin: int | None = None
        self._numbers: list[Tensor] = []
        self._generator = torch.Generator(device)
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)
        for _ in range(written):
            self._uniform()

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return `scores` ([1, vocabulary], changed in place), in which one token has won.

        `input_ids` ([1, tokens]) is the text so far.
        """
        penalise(input_ids, scores, self._sampling.repetition_penalty)
        shares, ids = self._candidates(scores[0])
        shares = shares.where(shares >= self._sampling.min_p * shares.max(), 0)
        # The token at that share of the sum; in 64 bits, in which no rounding is worth a token.
        sums = shares.double().cumsum(-1)
        drawn = torch.searchsorted(sums, self._number(input_ids.shape[1]) * sums[-1], right=True)
        scores[0, ids[drawn.clamp(max=len(sums) - 1)]] = torch.inf
        return scores

    def _number(self, length: int) -> Tensor:
        """Return the random number of the place after `length` tokens, from 0 to below 1, [1]."""
        if not self._drafted:
            return self._uniform()
        if self._begin is None:
            self._begin = length
        while len(self._numbers) <= length - self._begin:
            self._numbers.append(self._uniform())
        return self._numbers[length - self._begin]

    def _uniform(self) -> Tensor:
        generator = self._generator
        return torch.rand(1, generator=generator, dtype=torch.float64, device=generator.device)

    def _candidates(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Return the shares of those that may be drawn (not always 1 in sum), and their ids.

        `scores` is [vocabulary], both that are returned are [candidates].
        """
        top_k, top_p = self._sampling.top_k, self._sampling.top_p
        if not top_k and top_p == 1:
            shares = self._heated(scores).softmax(-1)
            return shares, torch.arange(len(shares), device=shares.device)
        if top_k:
            # 16-bit scores are equal quite often, and transformers keeps all that are as
            # likely as the last of the k.
            last = scores.topk(min(top_k, len(scores))).values[-1]
            ids = (scores >= last).nonzero()[:, 0]
            kept, order = scores[ids].sort(descending=True)
            shares, ids = self._heated(kept).softmax(-1), ids[order]
        else:
            shares, ids = self._likeliest(self._heated(scores), top_p)
        before = shares.cumsum(-1) - shares
        return shares.where(before < top_p, 0), ids

    def _heated(self, scores: Tensor) -> Tensor:
        return scores / self._sampling.temperature

    @staticmethod
    def _likeliest(scores: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Return the shares and ids of the likeliest tokens that make up `share` or more.

        `scores` is [vocabulary], both that are returned are [tokens], the likeliest first.
        """
        whole = scores.logsumexp(-1)
        count = min(FIRST, len(scores))
        while True:
            found, ids = scores.topk(count)
            shares = (found - whole).exp()
            if count == len(scores) or shares.sum() >= share:
                return shares, ids
            count = min(count * FACTOR, len(scores))


def penalise(input_ids: Tensor, scores: Tensor, penalty: float) -> None:
    """Make the tokens of `input_ids` less likely, in place: scores below 0 move away from it.

    `input_ids` is [1, tokens], `scores` [1, vocabulary].
    """
    seen = scores.gather(1, input_ids)
    scores.scatter_(1, input_ids, torch.where(seen < 0, seen * penalty, seen / penalty))
