"""What programs send to a model: a request with messages, for OpenAI's, Anthropic's or Gemini's.

    {"model": "any", "messages": [{"role": "user", "content": "A poem?"}], "temperature": 0}

A line of a file for batches has it as its `body`.
"""

from collections.abc import Mapping
from typing import Any

from chat.core.imports.found import Found

#: Where the system prompt stands, if not among the messages.
SYSTEM = ("system", "instructions", "systemInstruction", "system_instruction")


def read(entry: Mapping[str, Any]) -> Found | None:
    """Return the conversation in an entry, or None if it is no request."""
    body = entry["body"] if isinstance(entry.get("body"), Mapping) else entry
    messages = next((body[key] for key in ("messages", "input", "contents") if key in body), None)
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    if not isinstance(messages, list):
        return None
    system = next((body[key] for key in SYSTEM if body.get(key)), None)
    return Found(messages, body.get("title"), body.get("saved"), system)
