"""What is left of somebody's share, in the headers that OpenAI has for it.

Source: OpenAI's guide to rate limits, "Rate limits in headers".
"""

from math import ceil

from chat.core.shares import Left


def left(requests: Left | None, tokens: Left | None) -> dict[str, str]:
    """Return `x-ratelimit-limit-requests` and the others, of what has a limit."""
    headers = {}
    for kind, of in (("requests", requests), ("tokens", tokens)):
        if of:
            headers[f"x-ratelimit-limit-{kind}"] = str(of.most)
            headers[f"x-ratelimit-remaining-{kind}"] = str(of.left)
            headers[f"x-ratelimit-reset-{kind}"] = f"{ceil(of.seconds)}s"
    return headers
