"""What of a request was ignored: named to whoever sent it, and once in the log."""

import logging
import re
from collections.abc import Sequence

HEADER = "x-ignored-fields"
#: Longest name, longest header, and how many names are looked at and get into the log.
NAME, LONGEST, MOST = 64, 1000, 100

log = logging.getLogger(__name__)
_logged: set[str] = set()


def told(paths: Sequence[str]) -> dict[str, str]:
    """Return the header that names ignored fields, having logged those that are new."""
    names = [_clean(path) for path in paths[:MOST]]
    for name in names:
        _log(re.sub(r"\[\d+\]", "[]", name))
    if not names:
        return {}
    header = ""
    for name in names:
        if len(header) + len(name) > LONGEST:
            header += ", ..."
            break
        header += f", {name}" if header else name
    else:
        header += ", ..." if len(paths) > MOST else ""
    return {HEADER: header}


def _log(name: str) -> None:
    if name not in _logged and len(_logged) < MOST:
        _logged.add(name)
        log.warning("A request had a field that is not known here, and was ignored: %s", name)


def _clean(path: str) -> str:
    """Return a name that can be in a header and a log, whatever letters it was sent with."""
    return re.sub(r"[^\w.\[\]-]", "?", path, flags=re.ASCII)[:NAME] or "?"
