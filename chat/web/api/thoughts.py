"""What was thought before an earlier reply, in each form in which clients keep it.

Programs send back what they got from servers of all kinds, so nothing of it is refused: what
holds no text that can be read, as something encrypted, is no thought, and a summary is none.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator

#: The types of parts of a content that are thoughts.
KINDS = ("thinking", "reasoning", "redacted_thinking")
#: Where the text of a thought is, the most usual first: OpenAI's, Anthropic's and Mistral's,
#: LangChain's.
KEYS = ("text", "thinking", "reasoning", "content")
#: Deeper ones are nobody's.
DEEPEST = 4


def text_of(thought: Any, depth: int = 0) -> str:
    """Return the text in a thought: a text, an object with one, or a list of those."""
    if depth > DEEPEST:
        return ""
    match thought:
        case str():
            return thought
        case list():
            return "\n\n".join(filter(None, (text_of(one, depth + 1) for one in thought)))
        case dict():
            found = (text_of(thought.get(key), depth + 1) for key in KEYS)
            return next(filter(None, found), "")
        case _:
            return ""


#: A thought, read as its text.
Thought = Annotated[str, BeforeValidator(text_of, json_schema_input_type=Any)]
