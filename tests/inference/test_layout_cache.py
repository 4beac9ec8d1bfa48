"""The cache of layouts: what it holds is counted by hand."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import torch

from ccfpse.inference import LayoutCache, layout_key


@dataclass
class Plan:
    nbytes: int


def test_the_least_recent_goes_first() -> None:
    cache = LayoutCache(10)
    a, b, c = Plan(4), Plan(4), Plan(5)
    cache.put(b"a", a)
    cache.put(b"b", b)
    assert cache.get(b"a") is a  # now b is the oldest
    cache.put(b"c", c)
    assert cache.get(b"b") is None
    assert cache.get(b"a") is a
    assert cache.get(b"c") is c
    assert (len(cache), cache.nbytes) == (2, 9)


def test_replacing_and_clearing_counts_once() -> None:
    cache = LayoutCache(10)
    cache.put(b"a", Plan(6))
    cache.put(b"a", Plan(7))
    assert (len(cache), cache.nbytes) == (1, 7)
    cache.put(b"a", Plan(11))  # does not fit by itself, and the older plan is not what was put
    assert (len(cache), cache.nbytes) == (0, 0)
    cache.put(b"b", Plan(10))
    cache.clear()
    assert (len(cache), cache.nbytes) == (0, 0)


def test_a_limit_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="limit_bytes is -1"):
        LayoutCache(-1)


def test_keys_tell_layouts_apart() -> None:
    labels = torch.zeros(2, 3, dtype=torch.int64)
    changed = labels.clone()
    changed[1, 2] = 1
    edges = torch.zeros(2, 3, dtype=torch.bool)
    keys = [
        layout_key(labels, None),
        layout_key(changed, None),
        layout_key(labels.view(3, 2), None),
        layout_key(labels, edges),
        layout_key(labels, ~edges),
    ]
    assert len(set(keys)) == 5
    assert layout_key(labels.T.contiguous().T, None) == keys[0]


def test_many_threads() -> None:
    cache = LayoutCache(50)

    def use(number: int) -> None:
        key = bytes([number % 20])
        cache.get(key)
        cache.put(key, Plan(1 + number % 7))
        assert cache.nbytes <= 57  # the newest is counted before the oldest goes

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(2000)))
    held = [plan.nbytes for plan in (cache.get(bytes([i])) for i in range(20)) if plan is not None]
    assert len(held) == len(cache)
    assert sum(held) == cache.nbytes <= 50
