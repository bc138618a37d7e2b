"""`GET /manifest.json`: what lets a browser install the page as an app.

Gradio's own would have an icon of Gradio's, at an address from which the page may load no picture
(`chat.web.headers`).

Source: Web Application Manifest (W3C).
"""

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from chat.web.page.theme import ICON

SIZES = {"sizes": "any", "type": "image/svg+xml", "purpose": "any"}


def route(title: str) -> Route:
    """Return the route of the manifest of a page that is called `title`."""
    manifest = {
        "name": title,
        "short_name": title,
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "icons": [{"src": ICON, **SIZES}],
    }

    async def answer(_: Request) -> JSONResponse:
        return JSONResponse(manifest, media_type="application/manifest+json")

    return Route("/manifest.json", answer)
