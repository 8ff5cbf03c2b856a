"""GAIA's rule, expected values by hand."""

import pytest

from aepo_env.rewards.gaia import gaia_score


@pytest.mark.parametrize(
    ("prediction", "gold", "score"),
    [
        ("$17,000", "17000", 1.0),
        ("17000.0", "17000", 1.0),
        ("50%", "50", 1.0),
        ("-5", "5", 0.0),
        ("about 5", "5", 0.0),
        ("egg, Milk", "egg,milk", 1.0),
        ("milk, egg", "egg,milk", 0.0),  # in order
        ("egg; 1,5", "egg;15", 0.0),  # three elements against two
        ("$3; b", "3;b", 1.0),
        ("egg!, milk", "egg, milk", 0.0),  # punctuation stays inside lists
        ("sea gull", "Seagull.", 1.0),
        ("nan", "nan", 1.0),
        ("", "Paris", 0.0),
    ],
)
def test_gaia(prediction: str, gold: str, score: float) -> None:
    assert gaia_score(prediction, gold) == score
