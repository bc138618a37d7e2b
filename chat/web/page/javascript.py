"""Our JavaScript for the page, and what it shares with Python, which is written once."""

import json
from pathlib import Path
from typing import Any


def script(folder: Path, *names: str, **constants: Any) -> str:
    """Return files in `folder` as one script, which begins with these constants.

    javascript.d.ts has their types; tests/web/page/test_javascript.py checks that they agree.
    """
    given = [f"const {name} = {json.dumps(value)};" for name, value in constants.items()]
    return "\n".join([*given, *((folder / name).read_text("utf-8") for name in names)])
