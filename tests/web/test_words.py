"""chat.web.words: the page's words in other languages."""

import json
import re
from base64 import b64encode
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from chat.core import status
from chat.core.chat import Update
from chat.core.imports import REASONS, apart, sentence
from chat.core.sampling import OPTIONAL, Sampling
from chat.core.shares import Account, Limits, Shares
from chat.errors import BadRequest, RateLimited
from chat.settings import Settings
from chat.web.page import page
from chat.web.words import FOLDER, LANGUAGES, accepted
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine, ThinkingFormat, chat_with
from tests.support.saved import answer_here

ENGLISH: list[str] = json.loads((FOLDER / "en.json").read_text("utf-8"))
TEXTS = {"control", "figures", "file", "info", "names", "path", "reason", "reasons", "sentence"}
TEXTS |= {"status", "time", "title"}
#: Those that are nobody's words.
VERBATIM = {"file", "path", "title"}
#: Values that are no good, by the control.
UNUSABLE = {
    "choices": ["x\n" * 257],
    "regex": ["(", "^$", "a{9999}", "a\x01", "(?=a)", "(?i)a", "(a{100}){100}"],
    "json_schema": [
        *("[]", "{", "3", '{"type": "foo"}', '{"properties": 3}', '{"properties": {"a": 3}}'),
        *('{"$ref": "#"}', '{"$ref": "#/a"}', '{"$ref": "http://x/y"}', '{"not": {}}'),
        '{"type": "string", "minLength": 5, "maxLength": 2}',
        '{"type": "object", "required": ["a"], "additionalProperties": false}',
        '{"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}',
        '{"properties": {"a": {"$ref": "#/properties/a"}}}',
        '{"enum": [1], "minimum": 0}',
        '{"allOf": [{"pattern": "a"}, {"pattern": "b"}]}',
        f'{{"enum": {json.dumps([*range(99999)])}}}',
    ],
    "temperature": [-1, 99, "x"],
    "max_new_tokens": [0, 1.5],
}
FILES = [
    *(b"", b"{", b"[]", b"3", b'{"a": 1}', b'{"messages": []}', b'[{"a": 1}, {"messages": 3}]'),
    *(b"PK\x03\x04", b"\xff\xfe\xfd", b'{"conversations": [{"messages": [{"role": 1}]}]}'),
    b'{"messages": [{"role": "user", "content": ""}]}',
]


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
            if all(known(value) for name, value in parts.items() if name not in VERBATIM):
                return True
    several = re.split("; |\n", text)
    return len(several) > 1 and all(map(known, several))


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


@pytest.mark.parametrize(
    ("control", "value"), [(name, one) for name, values in UNUSABLE.items() for one in values]
)
def test_each_reason_why_a_value_is_not_usable_has_words(control: str, value: object) -> None:
    with pytest.raises(BadRequest) as refused:
        Sampling.checked(**{control: value})
    assert known(str(refused.value)), refused.value


@pytest.mark.parametrize("content", FILES)
@pytest.mark.parametrize("files", [1, 2])
def test_each_reason_why_a_file_cannot_be_imported_has_words(
    monkeypatch: pytest.MonkeyPatch, content: bytes, files: int
) -> None:
    monkeypatch.setattr("chat.child.answer", answer_here)
    given = [("a.json", b64encode(content).decode()), ("b.json", "")][:files]
    assert [one for one in apart.read(given, 1000).refused if not known(one)] == []


@pytest.mark.parametrize("number", [1, 1234])
def test_what_was_not_imported_has_words(number: int) -> None:
    for left in ({}, dict.fromkeys(REASONS, number), *({reason: number} for reason in REASONS)):
        for taken in (1, 1234):
            assert known(sentence(taken, left, "Imported"))


@pytest.mark.parametrize("who", ["You", "Your address"])
@pytest.mark.parametrize(
    "limits", [Limits(places=1), Limits(places=2), Limits(requests=2), Limits(tokens=2)]
)
def test_each_limit_of_a_share_has_words(who: str, limits: Limits) -> None:
    visitor = (Account("one", limits, who),)
    shares = Shares()

    def fill(places: ExitStack) -> None:
        for _ in range(9):
            share = places.enter_context(shares.place(visitor))
            share.count()
            share.spend(1)

    with ExitStack() as places, pytest.raises(RateLimited) as refused:
        fill(places)
    assert known(str(refused.value)), refused.value


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("nl, fr;q=0.4, PT-br;q=0.5", "pt"),
        ("en-US,en;q=0.9,de;q=0.8", "en"),
        ("xx, *;q=0.1", "en"),
        ("de;q=x, ar;q=0.1, ;;,", "ar"),
        ("de;q=0, fr;q=nan", "en"),
        ("de;q=0.3, de-AT;q=0.9, fr;q=0.5", "de"),
    ],
)
def test_the_language_that_a_browser_likes_best(header: str, language: str) -> None:
    assert accepted(header) == language


def test_they_are_served(serve: Serve) -> None:
    url = serve(ScriptedEngine())
    answer = httpx.get(f"{url}words/ar.json")
    assert answer.json() == words("ar")
    assert httpx.get(f"{url}words/xx.json").status_code == 404
    assert httpx.get(f"{url}words/../theme.py").status_code == 404
