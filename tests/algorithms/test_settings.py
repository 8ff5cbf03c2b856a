"""Settings by name: what text becomes, what is left alone, and what errors say."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

from algorithms.aepo import AEPO
from algorithms.settings import settings_of, with_setting, with_settings


def test_one_setting_changes_and_nothing_else() -> None:
    changed = with_setting(AEPO, "rollout.rule.penalty", "0.2")
    assert changed == replace(AEPO, rollout=replace(AEPO.rollout, rule=replace(AEPO.rollout.rule, penalty=0.2)))
    assert settings_of(changed) == settings_of(AEPO) | {"rollout.rule.penalty": 0.2}
    assert settings_of(AEPO)["rollout.rule.penalty"] == 0.05


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("updates", "8", 8),
        ("rollout.keep_probe", "No", False),
        ("rollout.scale", "sum20", "sum20"),
        ("aggregation", "token-sum", "token-sum"),
        ("loss.dual", "none", None),
        ("loss.dual", "10", 10.0),
        ("advantage.of.deviation", "population", "population"),
        ("advantage.lowest_factor", "None", None),
        ("rollout.sensitivity", "1e-1", 0.1),
        ("rollout.budget", 4, 4),
    ],
)
def test_text_becomes_the_type_of_the_setting(path: str, text: Any, value: Any) -> None:
    found = settings_of(with_setting(AEPO, path, text))[path]
    assert found == value
    assert type(found) is type(value)


def test_settings_that_are_only_valid_together_are_changed_together() -> None:
    with pytest.raises(ValueError, match="initial is for premonitor=False"):
        with_setting(AEPO, "rollout.initial", "4")
    for order in (1, -1):
        both = dict([("rollout.premonitor", "off"), ("rollout.initial", "4")][::order])
        assert with_settings(AEPO, both).rollout == replace(AEPO.rollout, premonitor=False, initial=4)


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("rollout.rule.penatly", "rollout.rule.base, rollout.rule.weight, rollout.rule.penalty"),
        ("rolout.budget", "rollout.rule.penalty"),
        ("rollout.budget.more", "rollout.budget"),
        ("rollout.rule", "rollout.rule.form"),
        ("shaping", "aggregation, updates"),
        ("", "name, paper"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(path: str, known: str) -> None:
    with pytest.raises(ValueError, match=f"There is no setting '{path}'[.;].* Known here: .*{known}"):
        with_setting(AEPO, path, "1")


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("updates", "4.5", "updates takes a whole number, not '4.5'"),
        ("rollout.premonitor", "maybe", "rollout.premonitor takes yes or no"),
        ("loss.dual", "much", "loss.dual takes none or a number, not 'much'"),
        ("loss.low", "nan", "loss.low takes a number"),
        ("rollout.scale", "sum", "rollout.scale takes standardised or mean or sum20"),
        ("rollout.rule.base", "1.5", "Expected base and threshold in 0..1"),
        ("loss.high", "1.2", "not 1.2"),
    ],
)
def test_text_that_does_not_fit_says_what_would(path: str, text: str, expected: str) -> None:
    whole = with_setting(AEPO, "loss.dual", "2.0")
    with pytest.raises(ValueError, match=expected):
        with_setting(whole, path, text)


def test_names_may_hold_text() -> None:
    @dataclass(frozen=True)
    class Named:
        name: str | None = None

    assert with_setting(Named(), "name", "x") == Named("x")
    assert with_setting(Named("x"), "name", "none") == Named(None)
