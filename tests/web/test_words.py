"""chat.web.words: the page's words in other languages."""

import json
import re
from typing import Any

import httpx
import pytest

from chat.core import status
from chat.core.chat import Update
from chat.core.sampling import OPTIONAL
from chat.settings import Settings
from chat.web.page import page
from chat.web.words import FOLDER, LANGUAGES
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine, ThinkingFormat, chat_with

ENGLISH: list[str] = json.loads((FOLDER / "en.json").read_text("utf-8"))
TEXTS = {"control", "figures", "file", "info", "names", "reason", "reasons", "sentence", "status"}
TEXTS |= {"time", "title"}


def words(language: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((FOLDER / f"{language}.json").read_text("utf-8"))
    return found


def holes(text: str) -> list[str]:
    return sorted(re.findall(r"\{(\w+)\}", text))


def known(text: str) -> bool:
    """Whether there is a key for it, or for what it is made of."""
    if text in ENGLISH or not re.search("[A-Za-z]", text):
        return True
    for key in filter(holes, ENGLISH):
        names = re.findall(r"\{(\w+)\}", key)
        form = re.sub(
            r"\\\{(\w+)\\\}",
            lambda hole: r"(.+?)" if hole[1] in TEXTS else r"([\d.,]+)",
            re.escape(key),
        )
        if found := re.fullmatch(form, text, re.DOTALL):
            parts = dict(zip(names, found.groups(), strict=True))
            if all(known(value) for name, value in parts.items() if name not in ("file", "title")):
                return True
    return False


def test_there_are_those_that_the_page_is_promised_in() -> None:
    assert {"de", "fr", "es", "pt", "ja", "zh", "ko", "ar"} == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_has_all_words_with_all_that_stands_in_them(language: str) -> None:
    found = words(language)
    assert list(found) == ENGLISH
    for english, said in found.items():
        assert said.strip() == said != ""
        assert holes(said) == holes(english), english
        assert said.endswith("…") == english.endswith("…"), english


def labels(component: dict[str, Any]) -> list[str]:
    props = component["props"]
    if component["type"] == "chatbot":
        return []
    found = [props.get(name) for name in ("label", "info", "placeholder", "submit_btn", "stop_btn")]
    found += [props.get("value")] * (component["type"] == "button")
    found += [name for name, _ in props.get("choices") or []]
    return [text for text in found if isinstance(text, str) and props.get("visible") is True]


def test_all_that_the_page_is_built_of_has_words() -> None:
    engine = ScriptedEngine()
    engine.supports = frozenset(OPTIONAL)
    chat = chat_with(engine, format=ThinkingFormat())
    chat.adapters, chat.suited = ("1", "2"), {"temperature": 0.6}
    built = page.build(chat, Settings())
    shown = [text for one in built.config["components"] for text in labels(one)]
    welcome = Settings().welcome.replace("**", "\n").split("\n")
    said = [text.strip() for text in (*shown, *welcome)]
    assert [text for text in said if not known(text)] == []
    assert len(said) > 50


@pytest.mark.parametrize(
    "state", ["waiting", "reading", "thinking", "writing", "finished", "length"]
)
def test_each_status_has_words(state: Any) -> None:
    for tokens in (1, 1234):
        for more in ({}, {"seconds": 2.0}, {"dropped_turns": 1}, {"dropped_turns": 3}):
            update = Update(state, place=tokens, prompt_tokens=tokens, tokens=tokens, **more)
            lines = [status.line(update), status.stopped(update), status.failed("Thank you.")]
            assert [line for line in lines if not known(line)] == []


def test_they_are_served(serve: Serve) -> None:
    url = serve(ScriptedEngine())
    answer = httpx.get(f"{url}words/ar.json")
    assert answer.json() == words("ar")
    assert httpx.get(f"{url}words/xx.json").status_code == 404
    assert httpx.get(f"{url}words/../theme.py").status_code == 404
