"""Drawing the next token among the few likeliest, instead of sorting the whole vocabulary.

The distribution is that of transformers: the repetition penalty (Keskar et al.,
CTRL, 2019), then the temperature, then top-k, then top-p (Holtzman et al., The
Curious Case of Neural Text Degeneration, 2020), then min-p (Nguyen et al., Turning
Up the Heat, 2024).
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import LogitsProcessor

from chat.core.sampling import Sampling

#: How many of the likeliest tokens are looked at first, beside top-k; and by what factor more
#: while these do not make up the share of top-p, or others are as likely as the last of the k.
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
    many tokens of it are `written` already, and it goes on. It is a CPU's, so that a seed means
    the same numbers on each `device` that has the scores.
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
        self._numbers: list[float] = []
        self._limits = Limits(
            *torch.tensor(
                [[sampling.temperature], [sampling.top_k], [sampling.top_p], [sampling.min_p]],
                dtype=torch.float64,
                device=device,
            )[:, None]
        )
        self._generator = torch.Generator()
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
        number = self.number(input_ids.shape[1])
        scores[0, drawn(shares[None], ids[None], self._limits.min_p, number)] = torch.inf
        return scores

    def number(self, length: int) -> float:
        """Return the random number of the place after `length` tokens, from 0 to below 1."""
        if not self._drafted:
            return self._uniform()
        if self._begin is None:
            self._begin = length
        while len(self._numbers) <= length - self._begin:
            self._numbers.append(self._uniform())
        return self._numbers[length - self._begin]

    def _uniform(self) -> float:
        return torch.rand((), generator=self._generator, dtype=torch.float64).item()

    def _candidates(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Return the shares of those that may be drawn (not always 1 in sum), and their ids.

        `scores` is [vocabulary], both that are returned are [candidates].
        """
        top_k, top_p = self._sampling.top_k, self._sampling.top_p
        if not top_k and top_p == 1:
            shares = (scores / self._sampling.temperature).softmax(-1).double()
            return shares, torch.arange(len(shares), device=shares.device)
        count = top_k + FIRST
        while True:
            found = candidates(scores[None], count, self._limits, whole=not top_k)
            if not found.unsure:
                return found.shares[0], found.ids[0]
            count *= FACTOR


class Limits(NamedTuple):
    """What is drawn from, for each of several texts: the fields of `Sampling`, each [texts, 1]."""

    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    min_p: Tensor


class Candidates(NamedTuple):
    """The likeliest tokens of several texts, the likeliest first, then by their ids."""

    #: In 64 bits, in which no rounding is worth a token; 0 for what cannot be drawn. [texts, count]
    shares: Tensor
    ids: Tensor
    #: For which texts so many are not enough, [texts].
    unsure: Tensor


def candidates(scores: Tensor, count: int, limits: Limits, *, whole: bool) -> Candidates:
    """Return what top-k and top-p leave of the `count` likeliest; `scores` is [texts, vocabulary].

    `whole` says that some text has no top-k, so that its shares are those of the whole vocabulary.
    """
    temperature, top_k, top_p, _ = limits
    every = scores.shape[1]
    count = min(count, every)
    # What is equally likely goes by its id, however many are looked at and by whichever kernel.
    ids = scores.topk(count).indices.sort(-1).values
    found, order = scores.gather(-1, ids).sort(dim=-1, descending=True, stable=True)
    ids = ids.gather(-1, order)
    # 16-bit scores are equal quite often, and transformers keeps all that are as likely as the
    # last of the k.
    last = found.gather(-1, (top_k.long() - 1).clamp(0, count - 1))
    kept = found >= last
    if whole:
        kept |= top_k == 0
    heated = found / temperature
    shares = (heated - heated[:, :1]).exp().where(kept, 0)
    sums = shares.sum(-1, keepdim=True)
    if whole:
        all_sums = (scores / temperature.float()).logsumexp(-1, keepdim=True)
        sums = torch.where(top_k == 0, (all_sums - heated[:, :1]).exp(), sums)
    shares = shares / sums
    unsure = kept[:, -1]
    if whole:
        # Others may be as likely as the last one.
        above = shares.where(found > found[:, -1:], 0).sum(-1)
        unsure = unsure & ((top_k[:, 0] > 0) | (above < top_p[:, 0]))
    if count == every:
        unsure = torch.zeros_like(unsure)
    before = shares.cumsum(-1) - shares
    return Candidates(shares.where(before < top_p, 0), ids, unsure)


def drawn(shares: Tensor, ids: Tensor, min_p: Tensor, number: Tensor | float) -> Tensor:
    """Return the id at such a part of the sum of the shares that min-p leaves, [texts].

    `shares` and `ids` are [texts, candidates], `min_p` and `number` are [texts, 1].
    """
    shares = shares.where(shares >= min_p * shares.amax(-1, keepdim=True), 0)
    sums = shares.cumsum(-1)
    place = torch.searchsorted(sums, number * sums[:, -1:], right=True)
    return ids.gather(-1, place.clamp(max=ids.shape[1] - 1))[:, 0]


def penalise(input_ids: Tensor, scores: Tensor, penalty: float | Tensor) -> None:
    """Make the tokens of `input_ids` less likely, in place: scores below 0 move away from it.

    `input_ids` is [texts, tokens], `scores` [texts, vocabulary], `penalty` may be [texts, 1].
    """
    seen = scores.gather(1, input_ids)
    scores.scatter_(1, input_ids, torch.where(seen < 0, seen * penalty, seen / penalty))
