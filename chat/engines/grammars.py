"""What is said of a grammar that no engine can hold a reply to."""

from chat.core.sampling import Sampling
from chat.errors import BadRequest


def too_much(sampling: Sampling) -> BadRequest:
    """Return what to raise where what ties a reply down takes too long, or too much memory."""
    field = next(name for name in ("choices", "regex", "json_schema") if getattr(sampling, name))
    title = Sampling.model_fields[field].title
    return BadRequest(f"{title} takes too long, or too much memory, to be kept to.", field)
