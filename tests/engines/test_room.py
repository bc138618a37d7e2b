"""chat.engines.room: the KV cache's share of the memory, and how many replies that is for."""

import pytest

from chat.engines import room
from chat.errors import ModelError

GB = 1_000_000_000


@pytest.mark.parametrize(
    ("parallel", "gpu", "windows"),
    [(3, False, 6), (3, True, 6), ("auto", False, 16), ("auto", True, 32)],
)
def test_there_is_twice_the_room_that_the_replies_take(
    parallel: int | str, gpu: bool, windows: int
) -> None:
    assert room.pool_tokens(1000 * GB, 1000, 4096, parallel, gpu=gpu) == windows * 4096


def test_but_no_more_than_its_share_of_what_is_free() -> None:
    assert room.pool_tokens(GB, 1000, 4096, "auto", gpu=False) == 16 * 4096
    assert room.pool_tokens(GB / 10, 1000, 4096, "auto", gpu=False) == 25_000
    assert room.pool_tokens(GB / 10, 1000, 4096, "auto", gpu=True) == 80_000


@pytest.mark.parametrize(("tokens", "many"), [(1024, 1), (8192, 4), (1_000_000, 16)])
def test_as_many_are_answered_as_half_windows_fit(tokens: int, many: int) -> None:
    assert room.replies(tokens, 4096, "auto") == many
    assert room.replies(tokens, 4096, "auto", least=8) == max(8, many)
    assert room.replies(tokens, 4096, 5, least=8) == 5, "unless somebody says how many"


def test_too_little_is_said_with_what_has_to_be_free() -> None:
    room.require(0.004096 * GB, 1000, 4096, "memory", gpu=False)
    with pytest.raises(ModelError, match=r"not enough memory .* for which 0\.0 GB have to be free"):
        room.require(0.004 * GB, 1000, 4096, "memory", gpu=False)
