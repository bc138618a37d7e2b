"""chat.web.page.panel: what the browser asks, over HTTP."""

import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Serve, serving
from tests.support.fakes import ScriptedEngine


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as serve:
        yield serve(ScriptedEngine())


#: `{"my diary": 1}` in base 64.
DIARY = "eyJteSBkaWFyeSI6IDF9"
SAID = {"messages": [{"role": "user", "content": "My diary"}]}


def ask(url: str, question: str, *data: Any, client: httpx.Client | None = None) -> httpx.Response:
    address = f"{url}gradio_api/run/saved_{question}"
    return (client or httpx).post(address, json={"data": [data]})


def test_what_is_sealed_opens_as_the_page_shows_it(url: str) -> None:
    sealed = ask(url, "seal", SAID).json()["data"][0]
    assert sealed["name"] == "My diary"
    assert ask(url, "names", [sealed["title"]]).json()["data"] == [["My diary"]]
    assert ask(url, "texts", [sealed["text"]]).json()["data"] == [["My diary"]]
    (shown,) = ask(url, "open", sealed["text"]).json()["data"][0]["messages"]
    assert (shown["role"], shown["content"][0]["text"]) == ("user", "My diary")


@pytest.mark.parametrize(
    ("question", "data", "sentence"),
    [
        ("open", ["my diary"], "This conversation was saved with another key or another login."),
        ("import", [[["my diary", DIARY]]], "This file is no conversation and no export of some"),
        ("import", [[["my diary", "my diary"]]], "The request could not be read."),
        ("import", [[["my diary", 7]]], "The request could not be read."),
        ("import", [["my diary"]], "The request could not be read."),
        ("import", [[["my diary", "é"]]], "The request could not be read."),
        ("markdown", ["my diary", "my diary"], "This conversation was saved"),
        ("import", [], "The request could not be read."),
        ("names", [{"my diary": 1}], None),
        ("names", [7], "The request could not be read."),
        ("texts", [7], "The request could not be read."),
        ("texts", [["my diary"] * 1001], "There may be 1,000 conversations at once."),
        ("texts", [["my diary"]], None),
        ("seal", [["my diary"]], "The request could not be read."),
        ("attach", ["my diary", 7], "The request could not be read."),
        ("attach", ["my diary", "é"], "The request could not be read."),
        ("export", ["my diary", "my diary", {"my diary": 1}], "This conversation was saved"),
    ],
)
def test_a_refusal_is_one_sentence_and_stays_out_of_the_log(
    url: str,
    question: str,
    data: list[Any],
    sentence: str | None,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = ask(url, question, *data)
    printed = capfd.readouterr()
    assert "diary" not in caplog.text + printed.out + printed.err + answer.text
    if sentence:
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(sentence)


def test_who_shares_a_browser_cannot_open_anothers(serve: Serve) -> None:
    url = serve(ScriptedEngine(), auth="ann:one,bob:two")
    assert ask(url, "seal", SAID).status_code == 401
    with httpx.Client() as ann, httpx.Client() as bob:
        ann.post(f"{url}login", data={"username": "ann", "password": "one"}).raise_for_status()
        bob.post(f"{url}login", data={"username": "bob", "password": "two"}).raise_for_status()
        sealed = ask(url, "seal", SAID, client=ann).json()["data"][0]
        assert ask(url, "names", [sealed["title"]], client=ann).json()["data"] == [["My diary"]]
        assert ask(url, "names", [sealed["title"]], client=bob).json()["data"] == [[None]]
        assert ask(url, "texts", [sealed["text"]], client=bob).json()["data"] == [[None]]
        assert ask(url, "open", sealed["text"], client=bob).status_code == 400


def test_a_page_of_somebody_who_has_logged_out_saves_nothing_for_who_came_after(
    serve: Serve,
) -> None:
    url = serve(ScriptedEngine(), auth="änn:one,bob:two")
    with httpx.Client(headers={"X-Login": "%C3%A4nn"}) as page:
        page.post(f"{url}login", data={"username": "änn", "password": "one"}).raise_for_status()
        assert ask(url, "seal", SAID, client=page).status_code == 200
        page.post(f"{url}login", data={"username": "bob", "password": "two"}).raise_for_status()
        answer = ask(url, "seal", SAID, client=page)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("Somebody else has logged in here meanwhile.")


def test_the_key_never_leaves_the_server(serve: Serve, tmp_path: Path) -> None:
    url = serve(ScriptedEngine(), data_dir=tmp_path)
    (file,) = tmp_path.iterdir()
    for page in ("", "config"):
        assert file.read_text() not in httpx.get(f"{url}{page}").text


@pytest.mark.parametrize("size", [850_000, 950_000])
def test_what_is_saved_can_come_back(url: str, size: int) -> None:
    noise = "".join(random.Random(0).choices(string.ascii_letters + string.digits, k=size))
    answer = ask(url, "seal", {"messages": [{"role": "user", "content": noise}]}).json()
    if size > 900_000:
        assert answer["error"] == "This conversation is too long to be saved."
    else:
        assert ask(url, "open", answer["data"][0]["text"]).status_code == 200
