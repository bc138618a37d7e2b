"""What llguidance says of a schema."""

import json
from typing import Any

from chat.core.schema.words import Path, children, refuse

#: llguidance's options: at most one space where JSON may have white space, of which a
#: small model may never stop writing more.
SPACES = {"whitespace_flexible": True, "whitespace_pattern": " ?"}


def judge(node: Any, defs: dict[str, Any], path: Path) -> None:
    """Have llguidance judge a schema, and find the place if it says no."""
    from llguidance import LLMatcher  # not above, since few need it and it takes a moment

    if not isinstance(node, dict):
        return
    alone = json.dumps({**node, "$defs": defs}, ensure_ascii=False)
    grammar = LLMatcher.grammar_from_json_schema(alone, overrides=SPACES)  # type: ignore[arg-type]
    if not (fault := LLMatcher.validate_grammar(grammar)):
        return
    for steps, child in children(node):
        judge(child, defs, (*path, *steps))
    for name, child in node.get("$defs", {}).items():
        judge(child, defs, ("$defs", name))
    never = fault.startswith("Unsatisfiable")
    refuse(path, "can never be fulfilled" if never else "asks for what is not offered")
