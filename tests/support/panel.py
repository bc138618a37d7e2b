"""What a person does with the saved conversations, and finds there."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.conftest import DATA
from tests.support.tab import Tab, expect

EXPORTED = {"format": "fourbit-chat", "version": 1}


def listed(tab: Tab, *titles: str) -> None:
    """Wait until the panel lists exactly these."""
    expect(tab.page.locator("#panel li > button")).to_have_text(list(titles))


def open_one(tab: Tab, title: str) -> None:
    tab.page.locator("#panel li").get_by_role("button", name=title, exact=True).click()
    expect(tab.page.locator("#panel [aria-current]")).to_have_text(title)


def told(tab: Tab, sentence: str) -> None:
    expect(tab.page.locator("#saying span")).to_have_text(sentence)


def choose(tab: Tab, *contents: bytes, names: Sequence[str] = ("talk.json",)) -> None:
    folder = Path(tempfile.mkdtemp(dir=DATA.name))
    files = [folder / name for name in names]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    tab.page.locator("#panel input[type=file]").set_input_files(files)


def exported(tab: Tab, button: str) -> Any:
    with tab.page.expect_download() as download:
        tab.button(button).click()
    return json.loads(Path(download.value.path()).read_text("utf-8"))


def wait_for_saving(tab: Tab) -> None:
    """Wait until the last word on the screen is saved, as an export does."""
    exported(tab, "Export all")


def kept(tab: Tab) -> dict[str, str]:
    return tab.page.evaluate("Object.fromEntries(Object.entries(localStorage))")


# They last
