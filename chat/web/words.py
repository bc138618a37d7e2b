"""`GET /words/de.json`: the words of the page in another language (`chat/web/page/words.js`)."""

from pathlib import Path

from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

FOLDER = Path(__file__).parent / "page/words"
#: Those that there are beside English, which the code has.
LANGUAGES = sorted(file.stem for file in FOLDER.glob("*.json") if file.stem != "en")


def route() -> Mount:
    """Return the route of all of them."""
    return Mount("/words", StaticFiles(directory=FOLDER))
