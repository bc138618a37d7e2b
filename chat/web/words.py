"""`GET /words/de.json`: the words of the page in another language (`chat/web/page/words.js`)."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

FOLDER = Path(__file__).parent / "page/words"
#: Those that there are beside English, which the code has.
LANGUAGES = sorted(file.stem for file in FOLDER.glob("*.json") if file.stem != "en")
#: Those that run from right to left.
FROM_RIGHT = ("ar",)


def accepted(header: str) -> str:
    """Return the language that a browser likes best of those that there are (Accept-Language)."""
    liked: dict[str, float] = {}
    for part in header.lower().split(","):
        name, _, weight = part.partition(";")
        language = name.strip().partition("-")[0]
        if language in ("en", *LANGUAGES) and (number := _number(weight)) > liked.get(language, 0):
            liked[language] = number
    return max(liked, key=lambda language: liked[language], default="en")


def _number(weight: str) -> float:
    try:
        return float(weight.partition("=")[2] or 1)
    except ValueError:
        return 0.0


@cache
def catalog(language: str) -> Mapping[str, str]:
    """Return the texts of a language by the English ones, for which there are none."""
    if language == "en":
        return {}
    found: dict[str, str] = json.loads((FOLDER / f"{language}.json").read_text("utf-8"))
    return found


def route() -> Mount:
    """Return the route of all of them."""
    return Mount("/words", StaticFiles(directory=FOLDER))
