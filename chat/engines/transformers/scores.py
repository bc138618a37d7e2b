"""How likely the model itself finds each token that is written (see `chat.core.engine.Scored`)."""

from torch import Tensor
from transformers import LogitsProcessor

from chat.core.engine import Scored


class Scores(LogitsProcessor):
    """Keeps the model's scores for the next token. It comes first: all others change them."""

    def __init__(self, top: int) -> None:
        self._top = top

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return `scores` ([1, vocabulary]) as they are."""
        self._logits = scores[0].clone()
        return scores

    def scored(self, id: int) -> Scored:
        """Return the token that was chosen, after all."""
        return scored(self._logits, id, self._top)


def scored(logits: Tensor, id: int, top: int) -> Scored:
    """Return a token with its log probability, and with the `top` likeliest.

    `logits` is [vocabulary].
    """
    logprobs = logits.float().log_softmax(-1)
    likeliest, ids = logprobs.topk(min(top, len(logprobs)))
    pairs = zip(ids.tolist(), likeliest.tolist(), strict=True)
    return Scored(id, float(logprobs[id]), tuple(pairs))
