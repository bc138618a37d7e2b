"""Prints the table in docs/models.md of what models of three public shapes leave on a T4.

    python docs/memory.py

The figures are those of `python app.py --check`, which sees folders with the right
sizes and holes for weights, and a T4 that is not there. Needs requirements-dev.txt.
"""

import io
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent.parent))

from chat.check import check
from chat.settings import Settings
from tests.support import holes
from tests.support.cards import cards

#: Bytes that are free on Colab's T4, of the 15.8 GB that torch sees, once CUDA has its own.
FREE = 15.6e9
CACHE = re.compile(
    r"KV cache +(\d+\.\d GB) beside (\d+\.\d GB) of weights, room for ([\d,]+) tokens"
)


def row(name: str, folder: Path) -> str:
    """Return the line for one model, which is made in `folder`."""
    holes.save(holes.SHAPES[name], folder / name)
    out = io.StringIO()
    with redirect_stdout(out), cards(FREE, capability=(7, 5)):
        check(Settings(check=str(folder / name), engine="transformers", cache_dir=folder))
    found = CACHE.search(out.getvalue())
    if not found or "runs            yes" not in out.getvalue():
        sys.exit(out.getvalue())
    cache, weights, tokens = found.groups()
    return f"| {name} | {weights} | {cache} | {tokens} |"


def main() -> None:
    """Print all of it."""
    print("| model | weights | left for the KV cache | tokens of conversation |")
    print("|---|---|---|---|")
    with TemporaryDirectory() as folder:
        for name in holes.SHAPES:
            print(row(name, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
