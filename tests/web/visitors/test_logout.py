"""chat.web.visitors.logout: nothing but a click on the button ends a login."""

from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine


@pytest.fixture
def reader(serve: Serve) -> Iterator[httpx.Client]:
    """Somebody who is logged in."""
    url = serve(ScriptedEngine(), auth="ann:secret")
    with httpx.Client(base_url=url) as client:
        answer = client.post("login", data={"username": "ann", "password": "secret"})
        assert answer.status_code == 200
        # Over plain HTTP a browser keeps the one that is not for HTTPS alone, and so here.
        assert logged_in(client)
        yield client


def logged_in(client: httpx.Client) -> bool:
    return client.get("config").status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
@pytest.mark.parametrize("path", ["logout", "logout/", "logout?all_session=false"])
def test_who_only_looks_stays(reader: httpx.Client, method: str, path: str) -> None:
    answer = reader.request(method, path)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert logged_in(reader)


def test_the_button_is_there_and_ends_it(reader: httpx.Client) -> None:
    assert "Log out" in reader.get("logout").text
    answer = reader.post("logout", headers={"Sec-Fetch-Site": "same-origin"})
    assert (answer.status_code, answer.headers["Location"]) == (302, ".")
    assert not logged_in(reader)


def test_it_ends_nobody_elses_of_the_same_name(reader: httpx.Client) -> None:
    with httpx.Client(base_url=reader.base_url) as other:
        other.post("login", data={"username": "ann", "password": "secret"})
        other.post("logout")
        assert not logged_in(other)
    assert logged_in(reader)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_sites_page_cannot_do_it(reader: httpx.Client, site: str) -> None:
    assert reader.post("logout", headers={"Sec-Fetch-Site": site}).status_code == 403
    assert logged_in(reader)
