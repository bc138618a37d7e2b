"""chat.web.manifest: what lets a browser install the page."""

import httpx

from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine


def test_the_page_can_be_installed_under_its_own_name_and_icon(serve: Serve) -> None:
    url = serve(ScriptedEngine(), title="Ann's model")
    answer = httpx.get(f"{url}manifest.json")
    assert answer.headers["content-type"] == "application/manifest+json"
    manifest = answer.json()
    assert manifest["name"] == manifest["short_name"] == "Ann's model"
    assert (manifest["start_url"], manifest["display"]) == ("./", "standalone")
    assert manifest["icons"][0]["src"].startswith("data:image/svg+xml,")
