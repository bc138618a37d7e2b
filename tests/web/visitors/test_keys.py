"""chat.web.visitors.keys: several keys, each with a name and limits, read anew when they change."""

import logging
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from chat.core.shares import Account, Limits, asking
from chat.errors import SettingsError
from chat.settings import Settings
from chat.web.api.authentication import OF_ADDRESS
from chat.web.visitors import guesses, keys
from chat.web.visitors.keys import Keys
from tests.conftest import Serve
from tests.support.backends import Backend
from tests.support.fakes import ScriptedEngine
from tests.support.programs import Programs

SECRET = "k-this-is-anns-own-key"
HASHED = sha256(b"k-of-the-builds").hexdigest()
FILE = f"""\
# name key limits

ann    {SECRET}
ci     sha256:{HASHED}   requests=60 tokens=200000 places=4
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Put the file there, whole and for its owner alone."""
    file, made = tmp_path / "keys", tmp_path / "made"

    def put(text: str) -> Path:
        made.write_bytes(text.encode("utf-8", "surrogateescape"))
        made.chmod(0o600)
        made.rename(file)
        return file

    return put


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(keys, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def who(found: Keys, key: str) -> str:
    account = found.find(key.encode())
    return account.name if account else ""


def test_each_key_has_a_name_and_limits_of_its_own(write: Write) -> None:
    found = Keys(write(FILE), "the-one-of-the-flag")
    assert who(found, SECRET) == "key:ann"
    assert who(found, "k-of-the-builds") == "key:ci"
    assert who(found, "the-one-of-the-flag") == "key:default"
    for wrong in ("", "ann", "ci", SECRET[:-1], f"{SECRET} ", HASHED, f"sha256:{HASHED}"):
        assert who(found, wrong) == ""
    ann, ci = (found.find(key) for key in (SECRET.encode(), b"k-of-the-builds"))
    assert ann
    assert ci
    assert (ann.limits, ci.limits) == (Limits(), Limits(4, 60, 200_000))


@pytest.mark.parametrize("own", ["", "key"])
def test_without_a_file_there_is_the_one_of_the_flag_or_none(own: str) -> None:
    found = Keys(None, own)
    assert bool(found) is bool(own)
    assert who(found, "key") == ("key:default" if own else "")
    assert who(found, "") == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"\n\nann\n{SECRET}", "line 3"),
        (f"a/b {SECRET}", "line 1"),
        (f"default {SECRET}", "line 1"),
        (f"ann {SECRET} requests=x{SECRET}", "line 1"),
        (f"ann {SECRET} requests=1 requests=2", "line 1"),
        (f"ann {SECRET} {SECRET}", "line 1"),
        (f"ann {SECRET} requests=-1", "line 1"),
        (f"ann {SECRET} requests=99999999999999999999", "line 1"),
        (f"ben b\nann sha256:{SECRET}", "line 2"),
        (f"ben b\nann sha256:{HASHED[:-1]}", "line 2"),
        (f"ann {SECRET}\nben b\nann c", "line 3"),
        (f"ann {SECRET}\nben {SECRET}", "line 2"),
        ("# nobody\n", "no key in it"),
        ("", "no key in it"),
        ("ann \udcff", "not UTF-8"),
        (f"ann {SECRET}\n" + "#" * 1_000_000, "more than 1,000,000 bytes"),
    ],
)
def test_what_is_wrong_is_told_by_its_line_and_never_by_what_is_in_it(
    write: Write, text: str, told: str
) -> None:
    with pytest.raises(SettingsError, match=told) as error:
        Keys(write(text), "")
    assert SECRET not in str(error.value)
    assert HASHED[:20] not in str(error.value)


@pytest.mark.parametrize("name", ["nothing", "."])
def test_a_file_that_cannot_be_read_ends_the_start(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"^The file of --api-keys cannot be read \("):
        keys.of(Settings(api_keys=tmp_path / name))


def test_it_is_read_anew_when_it_has_changed_and_not_more_than_once_a_second(
    write: Write, clock: list[float]
) -> None:
    found = Keys(write(FILE), "")
    assert who(found, "new") == ""
    write("ben new requests=5")
    assert who(found, "new") == ""  # within the second
    clock[0] += 1
    assert who(found, "new") == "key:ben"
    assert who(found, SECRET) == ""


def test_one_of_the_same_size_and_time_is_another_file(write: Write, clock: list[float]) -> None:
    file = write("ben abc")
    found = Keys(file, "")
    times = file.stat()
    write("ben xyz")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    clock[0] += 1
    assert who(found, "xyz") == "key:ben"


@pytest.mark.parametrize("damage", ["ben", "", None])
def test_a_damaged_one_leaves_the_keys_of_before_and_is_told_of_once(
    write: Write, clock: list[float], damage: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    file = write(FILE)
    found = Keys(file, "")
    if damage is None:
        file.unlink()
    else:
        write(f"{damage}\n")
    for _ in range(5):
        clock[0] += 1
        assert who(found, SECRET) == "key:ann"
    assert len(caplog.messages) == 1
    assert "still valid" in caplog.messages[0]
    write("ben new")
    clock[0] += 1
    assert who(found, "new") == "key:ben"
    assert who(found, SECRET) == ""


@pytest.mark.parametrize(("mode", "told"), [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1)])
def test_a_file_that_others_can_read_is_used_and_warned_of(
    write: Write, mode: int, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    file = write(FILE)
    file.chmod(mode)
    with caplog.at_level(logging.WARNING):
        assert who(Keys(file, ""), SECRET) == "key:ann"
    assert len(caplog.messages) == told


def test_a_key_has_its_own_share_and_opens_the_figures(
    serve: Serve, write: Write, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve(
        ScriptedEngine(lambda prompt: "Yes."),
        api_keys=write("ann k-ann requests=1\nben k-ben"),
        api_key="k-own",
        visitor_requests=1,
    ).rstrip("/")

    def ask(key: str) -> int:
        headers = {"Authorization": f"Bearer {key}", "X-Forwarded-For": "203.0.113.7"}
        body = {"messages": [{"role": "user", "content": "Hi"}]}
        return httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers).status_code

    assert [ask(key) for key in ("k-ann", "k-ann", "k-eve")] == [200, 429, 401]
    assert [ask(key) for key in ("k-ben", "k-ben", "k-own", "k-own")] == [200] * 4
    figures = [
        httpx.get(f"{url}/metrics", headers={"x-api-key": key}).status_code
        for key in ("k-ann", "k-own", "k-eve")
    ]
    assert figures == [200, 200, 401]
    write("ben k-ben")
    clock[0] += 1
    assert ask("k-ann") == 401


def test_an_address_that_guesses_has_to_wait_and_nobody_else(
    serve: Serve, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(guesses, "time", SimpleNamespace(monotonic=lambda: now[0]))
    url = serve(ScriptedEngine(), api_keys=write("ann k-ann"))

    def look(key: str, address: str) -> tuple[int, str]:
        headers = {"X-Forwarded-For": address} | ({"x-api-key": key} if key else {})
        answer = httpx.get(f"{url}v1/models", headers=headers)
        return answer.status_code, answer.headers.get("Retry-After", "")

    for _ in range(3 * OF_ADDRESS.free):
        assert look("", "203.0.113.7")[0] == 401  # which is no guess
        assert look("k-eve", "10.0.0.7")[0] == 401  # where others come from too
    for _ in range(OF_ADDRESS.free):
        assert look("k-eve", "203.0.113.7")[0] == 401
    for _ in range(3):
        assert look("k-ann", "203.0.113.7") == (429, "1")  # which else would tell
        assert look("k-ann", "203.0.113.8")[0] == look("k-ann", "10.0.0.7")[0] == 200
        now[0] += 1
        assert look("k-ann", "203.0.113.7")[0] == 200
        assert look("k-eve", "203.0.113.7")[0] == 401


async def test_wrong_ones_count_together_wherever_they_are_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guesses, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    programs = Programs(ScriptedEngine(), api_key="k-of-this-test-alone")
    token = asking.set((Account("address:a"), Account("visitor:b")))
    try:
        found = [
            (await programs.client.post(path, headers={"x-api-key": "wrong"})).status_code
            for path in ["/chat/completions", "http://here/tokenize"] * 11
        ]
    finally:
        asking.reset(token)
    assert found == [401] * OF_ADDRESS.free + [429] * 2


async def test_a_backend_takes_them_as_well(write: Write) -> None:
    file = write("page k-page\nother k-other requests=1")
    backend = Backend(ScriptedEngine(lambda prompt: "Yes."), api_keys=file)
    for key, status in (("k-page", 200), ("k-other", 200), ("k-other", 429), ("k", 401)):
        answer = await backend.completes(headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == status, key
