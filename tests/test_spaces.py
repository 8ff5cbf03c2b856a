import copy
import pickle

import numpy as np
import pytest
from gymnasium.vector.utils import batch_space

from aepo_env.spaces import Unicode


def test_contains_text_up_to_its_length_and_nothing_else() -> None:
    space = Unicode(3)
    for text in ("", "abc", "äß😀", "\x00\n", np.str_("abc")):
        assert text in space
    for other in ("abcd", b"abc", 3, None, ["a"], np.array("a")):
        assert other not in space


def test_samples_lie_in_the_space_and_follow_its_seed() -> None:
    space, twin = Unicode(10, seed=5), Unicode(10, seed=5)
    samples = [space.sample() for _ in range(200)]
    assert samples == [twin.sample() for _ in range(200)]
    assert all(sample in space for sample in samples)
    assert len(set(samples)) > 100
    assert all(len(Unicode(1, seed=i).sample()) <= 1 for i in range(20))


def test_equal_spaces_are_equal_and_hash_alike() -> None:
    assert Unicode(5) == Unicode(5, seed=1)
    assert hash(Unicode(5)) == hash(Unicode(5))
    assert Unicode(5) != Unicode(6)
    assert Unicode(5) != "Unicode(5)"


def test_pickles_small_and_with_its_stream() -> None:
    space = Unicode(seed=3)
    space.sample()
    twin = pickle.loads(pickle.dumps(space))
    assert twin == space
    assert twin.sample() == space.sample()
    assert len(pickle.dumps(Unicode())) < 1_000


def test_a_deep_copy_draws_on_its_own() -> None:
    space = Unicode(seed=3)
    twin = copy.deepcopy(space)
    expected = [twin.sample() for _ in range(5)]
    assert [space.sample() for _ in range(5)] == expected


def test_batches_as_a_tuple_of_spaces() -> None:
    batch = batch_space(Unicode(seed=1), 3)
    sample = batch.sample()
    assert len(sample) == 3
    assert sample in batch


def test_refuses_a_length_that_is_none() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Unicode(0)
