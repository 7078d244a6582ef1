"""Into how many parts a batch is cut."""

import pytest

from runner.training.sharding import usable_shards


@pytest.mark.parametrize(
    ("batch", "most", "shards"), [(16, 2, 2), (15, 2, 1), (9, 4, 3), (1, 2, 1)]
)
def test_shards_divide_the_batch(batch: int, most: int, shards: int) -> None:
    assert usable_shards(batch, most) == shards


@pytest.mark.parametrize(("batch", "shards"), [(16, 2), (128, 2), (256, 4), (129, 3), (512, 8)])
def test_shards_fit_into_the_cache(
    batch: int, shards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.training.cores.share", lambda: 2)
    assert usable_shards(batch, None) == shards
