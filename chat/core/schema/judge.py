"""What llguidance says of a schema."""

import json
from typing import Any

from chat.core.schema.words import TOO_LARGE, Path, children, refuse

#: llguidance's options: at most one space where JSON may have white space, of which a
#: small model may never stop writing more.
SPACES = {"whitespace_flexible": True, "whitespace_pattern": " ?"}
#: So many characters are read to find the place of a fault, which takes a second at most: each
#: part of a schema is judged with all that it may refer to.
MOST_READ = 4_000_000


class Judge:
    """Has llguidance judge schemas with these definitions, and finds the place if it says no."""

    def __init__(self, defs: dict[str, Any]) -> None:
        self._defs = defs
        self._read = 0

    def check(self, node: Any, path: Path) -> None:
        """Raise ValueError if it says no to `node`, which is at `path`."""
        from llguidance import LLMatcher  # not above, since few need it and it takes a moment

        if not isinstance(node, dict) or self._read > MOST_READ:
            return
        alone = json.dumps({**node, "$defs": self._defs}, ensure_ascii=False)
        self._read += len(alone)
        try:
            grammar = LLMatcher.grammar_from_json_schema(alone, overrides=SPACES)  # type: ignore[arg-type]
        except ValueError:  # a value is nested more deeply than it reads
            raise ValueError(TOO_LARGE) from None
        if not (fault := LLMatcher.validate_grammar(grammar)):
            return
        for steps, child in children(node):
            self.check(child, (*path, *steps))
        for name, child in node.get("$defs", {}).items():
            self.check(child, ("$defs", name))
        never = fault.startswith("Unsatisfiable")
        refuse(path, "can never be fulfilled" if never else "asks for what is not offered")
