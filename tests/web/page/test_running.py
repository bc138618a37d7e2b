"""chat.web.page.running: a page finds its reply again, and nobody else does."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest

from chat.core.chat import Update
from chat.core.gate import Gate
from chat.errors import BadRequest
from chat.web.page.panel.seal import Seal
from chat.web.page.running import Running
from chat.web.page.turn import Turn


async def endless() -> AsyncGenerator[Update]:
    yield Update("writing", "Once", tokens=4)
    await asyncio.get_running_loop().create_future()


def running(folder: Path) -> Running:
    return Running(Gate(1, 1), 60, Seal(folder))


async def begun(there: Running, login: str | None = None) -> Turn:
    turn = Turn("Hi", [], [])
    there.begin(turn, endless(), login)
    async with aclosing(turn.reply.follow()) as updates:
        await anext(updates)
    return turn


async def test_a_token_finds_its_turn_and_says_where_it_stands(tmp_path: Path) -> None:
    there = running(tmp_path)
    turn = await begun(there)
    token = there.token(turn, None)
    assert turn.reply.id not in token
    assert there.find(token, None) is turn
    assert there.line(None, token) == "Writing: 4 tokens…"
    turn.reply.stop()


@pytest.mark.parametrize(("login", "other"), [("me", "you"), ("me", None), (None, "me")])
async def test_it_finds_nothing_for_another_login(
    login: str | None, other: str | None, tmp_path: Path
) -> None:
    there = running(tmp_path)
    turn = await begun(there, login)
    for token in (there.token(turn, login), there.token(turn, other)):
        assert there.line(other, token) == ""
        with pytest.raises(BadRequest):
            there.find(token, other)
    turn.reply.stop()


@pytest.mark.parametrize("token", ["", "x", "\ud800", "0" * 32, None, 5, []])
async def test_what_is_no_token_finds_nothing(token: object, tmp_path: Path) -> None:
    there = running(tmp_path)
    turn = await begun(there)
    assert there.line(None, token) == ""  # type: ignore[arg-type]
    assert there.line(None, turn.reply.id) == ""
    turn.reply.stop()


async def test_what_was_stopped_before_it_began_never_begins(tmp_path: Path) -> None:
    there, turn, begun = running(tmp_path), Turn("Hi", [], []), []

    async def updates() -> AsyncGenerator[Update]:
        begun.append(True)
        yield Update("writing")

    turn.reply.stop()
    there.begin(turn, updates(), None)
    assert [update async for update in turn.reply.follow()] == []
    assert begun == []
