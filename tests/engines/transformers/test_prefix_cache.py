"""Which cache a prompt gets, and which ones are kept."""

import random
import weakref

import torch

from chat.engines.transformers.kv_cache import CHUNK, GrowingCache
from chat.engines.transformers.prefix_cache import REPLY, PrefixCache

#: Bytes of one chunk of one layer: keys and values, one head, size 2, four bytes each.
UNIT = 2 * CHUNK * 2 * 4


def read(cache: GrowingCache, ids: list[int]) -> None:
    """Have `cache` hold `ids`, as if a model had read those that it lacks."""
    new = torch.tensor(ids[cache.length :], dtype=torch.float32)[None, None, :, None]
    cache.update(new.expand(-1, -1, -1, 2), new.expand(-1, -1, -1, 2), 0)


def remember(kept: PrefixCache, ids: list[int]) -> None:
    cache = kept.take(ids)
    read(cache, ids)
    kept.keep([*ids, -1], cache)


def held(cache: GrowingCache) -> list[int]:
    return cache.layers[0].keys[0, 0, :, 0].tolist() if cache.length else []


def test_a_prompt_gets_what_it_shares_with_the_nearest() -> None:
    kept = PrefixCache(1, 9 * UNIT)
    for ids in ([1, 2, 9, 9], [1, 2, 3, 4], [5, 5, 5]):
        remember(kept, ids)
    assert held(kept.take([1, 2, 3, 4, 6])) == [1, 2, 3, 4]


def test_a_prompt_that_shares_nothing_gets_an_empty_one() -> None:
    kept = PrefixCache(1, 9 * UNIT)
    remember(kept, [1, 2, 3])
    assert held(kept.take([2, 2, 3])) == []


def test_the_last_id_of_a_prompt_is_never_in_its_cache() -> None:
    kept = PrefixCache(1, 9 * UNIT)
    remember(kept, [1, 2, 3, 4])
    assert held(kept.take([1, 2, 3, 4])) == [1, 2, 3]


def test_a_cache_has_one_owner() -> None:
    kept = PrefixCache(1, 9 * UNIT)
    remember(kept, [1, 2, 3, 4])
    kept.take([1, 2, 3, 4, 5])
    assert held(kept.take([1, 2, 3, 4, 5])) == []


def test_who_shares_little_gets_a_copy_and_the_owner_keeps_all() -> None:
    kept = PrefixCache(1, 9 * UNIT)
    remember(kept, [1, 2, 3, 4, 5, 6, 7, 8])
    copied = kept.take([1, 2, 3, 9])
    read(copied, [1, 2, 3, 9, 9])
    assert held(copied) == [1, 2, 3, 9, 9]
    assert held(kept.take([1, 2, 3, 4, 5, 6, 7, 8, 9])) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_only_what_every_layer_has_read_is_kept() -> None:
    kept = PrefixCache(2, 9 * UNIT)
    cache = kept.take([1, 2, 3, 4, 5])
    states = torch.ones(1, 1, 5, 2)
    cache.update(states, states, 0)
    cache.update(states[..., :3, :], states[..., :3, :], 1)
    kept.keep([1, 2, 3, 4, 5], cache)
    taken = kept.take([1, 2, 3, 4, 5])
    assert [layer.get_seq_length() for layer in taken.layers] == [3, 3]


def test_what_follows_the_known_ids_is_cut_off() -> None:
    kept = PrefixCache(1, 9 * UNIT)
    cache = kept.take([1, 2, 3])
    read(cache, [1, 2, 3, 7, 7])
    kept.keep([1, 2, 3, 4], cache)
    assert held(kept.take([1, 2, 3, 4, 7, 7])) == [1, 2, 3]


def test_the_one_used_longest_ago_goes_first() -> None:
    kept = PrefixCache(1, 2 * UNIT)
    remember(kept, [1, 1, 1, 1])
    remember(kept, [2, 2, 2, 2])
    remember(kept, [1, 1, 1, 1, 1])
    remember(kept, [3, 3, 3, 3])
    assert kept.nbytes == 2 * UNIT
    assert held(kept.take([2, 2, 2, 2, 2])) == []
    assert held(kept.take([1, 1, 1, 1, 1, 1])) == [1, 1, 1, 1, 1]


def test_lending_a_prefix_counts_as_use() -> None:
    kept = PrefixCache(1, 2 * UNIT)
    remember(kept, [1, 1, 1, 1, 1, 1, 1, 1])
    remember(kept, [2, 2, 2, 2])
    kept.take([1, 1, 3])
    remember(kept, [4, 4, 4])
    assert held(kept.take([2, 2, 2, 2, 2])) == []


def test_one_that_is_too_large_is_not_kept_and_displaces_nobody() -> None:
    kept = PrefixCache(1, 2 * UNIT)
    remember(kept, [1, 1, 1, 1])
    remember(kept, [2] * (3 * CHUNK))
    assert kept.nbytes == UNIT
    assert held(kept.take([1, 1, 1, 1, 1])) == [1, 1, 1, 1]


def test_clearing_lets_all_memory_go() -> None:
    kept = PrefixCache(1, 2 * UNIT)
    remember(kept, [1, 1, 1, 1])
    kept.clear()
    assert kept.nbytes == 0


def room(cache: GrowingCache) -> int:
    """Return how many tokens `cache` takes before it moves what it holds."""
    return cache.nbytes // UNIT * CHUNK


def test_room_for_a_prompt_and_its_reply_is_made_at_once() -> None:
    # New, taken over, copied.
    prompts = [1, 2, 3, 4] * CHUNK, [1, 2, 3, 4] * CHUNK + [5] * 3 * CHUNK, [1, 2, 9]
    kept = PrefixCache(1, 99 * UNIT)
    for prompt in prompts:
        cache = kept.take(prompt, new=100)
        read(cache, prompt)
        assert len(prompt) + 100 <= room(cache) < len(prompt) + 100 + 2 * CHUNK
        kept.keep([*prompt, -1], cache)


def test_a_reply_that_may_be_long_has_no_more_room_reserved_than_most_need() -> None:
    cache = PrefixCache(1, 99 * UNIT).take([1, 2, 3], new=10**9)
    read(cache, [1, 2, 3])
    assert REPLY < room(cache) < 2 * REPLY


def test_room_that_is_not_filled_goes_before_what_was_read() -> None:
    kept = PrefixCache(1, 3 * UNIT)
    for first in (1, 2, 3):
        cache = kept.take([first] * 4, new=CHUNK)
        read(cache, [first] * 4)
        assert cache.nbytes == 2 * UNIT
        kept.keep([*[first] * 4, -1], cache)
    assert kept.nbytes == 3 * UNIT
    assert [len(held(kept.take([first] * 5))) for first in (1, 2, 3)] == [4, 4, 4]


def test_one_that_is_too_large_for_its_room_alone_is_kept_without_it() -> None:
    kept = PrefixCache(1, UNIT)
    cache = kept.take([1, 2, 3], new=CHUNK)
    read(cache, [1, 2, 3])
    kept.keep([1, 2, 3, -1], cache)
    assert kept.nbytes == UNIT
    assert held(kept.take([1, 2, 3, 4])) == [1, 2, 3]


def test_what_is_counted_is_what_is_there_and_no_more_than_the_limit() -> None:
    kept, dice = PrefixCache(2, 8 * UNIT), random.Random(1)
    made: weakref.WeakSet[GrowingCache] = weakref.WeakSet()
    for _ in range(300):
        prompt = dice.choices([1, 2], k=dice.randint(2, 2 * CHUNK))
        cache = kept.take(prompt, new=dice.choice([0, CHUNK]))
        made.add(cache)
        read(cache, prompt)
        kept.keep([*prompt, -1], cache)
        del cache
        assert kept.nbytes == sum(one.nbytes for one in made) <= 8 * UNIT
