import numpy as np
import pytest

from ccfpse.data.sampler import SampleOrder


def test_every_epoch_holds_every_sample_once_in_another_order() -> None:
    order = SampleOrder(10, seed=3)
    epochs = [[order.index(10 * epoch + k) for k in range(10)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_any_position_without_the_ones_before() -> None:
    walked = SampleOrder(7, seed=0)
    in_turn = [walked.index(k) for k in range(40)]
    assert [SampleOrder(7, seed=0).index(k) for k in (33, 5, 39, 0)] == [in_turn[k] for k in (33, 5, 39, 0)]
    assert [SampleOrder(7, seed=1).index(k) for k in range(40)] != in_turn


def test_generators_differ_by_position_and_seed_only() -> None:
    draws = {(seed, k): SampleOrder(5, seed).rng(k).random() for seed in (0, 1) for k in (0, 1, 5, 6)}
    assert len(set(draws.values())) == 8
    assert SampleOrder(500, 1).rng(6).random() == draws[1, 6]


def test_shards_stay_together() -> None:
    groups = [4, 3, 5, 4, 4, 4]
    shard_of = np.repeat(np.arange(6), groups)
    order = SampleOrder(24, seed=0, groups=groups, together=2)
    indices = [order.index(k) for k in range(24)]
    assert sorted(indices) == list(range(24))
    shards = [int(shard_of[i]) for i in indices]
    seen: list[int] = []
    while shards:  # two shards at a time, mixed with each other, and never again
        pair = list(dict.fromkeys(shards))[:2]
        length = sum(groups[shard] for shard in pair)
        assert set(shards[:length]) == set(pair)
        seen += pair
        shards = shards[length:]
    assert sorted(seen) == list(range(6))
    assert seen != list(range(6))


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        SampleOrder(0, seed=0)
    with pytest.raises(ValueError, match="groups hold 5 samples, but the data set has 6"):
        SampleOrder(6, seed=0, groups=[2, 3])
