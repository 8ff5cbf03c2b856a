"""AEPO, ARPO and GRPO as their files state them: what differs from what, and where."""

from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch
from torch import Tensor

from algorithms.aepo import AEPO, AEPO_OFFICIAL
from algorithms.algorithm import Algorithm
from algorithms.arpo import ARPO, ARPO_OFFICIAL
from algorithms.grpo import GRPO, GRPO_OFFICIAL
from algorithms.loss.aggregation import aggregate, row_weights
from algorithms.settings import settings_of
from algorithms.training.known import ALGORITHMS, algorithm
from tests.algorithms.leaves import leaf_batch


def differences(one: Algorithm, other: Algorithm) -> set[str]:
    ours, theirs = settings_of(one), settings_of(other)
    return {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)} - {
        "name",
        "paper",
        "summary",
    }


def test_arpo_changes_nothing_but_the_rollout_of_grpo() -> None:
    assert replace(ARPO, rollout=GRPO.rollout, name="", paper="", summary="") == replace(
        GRPO, name="", paper="", summary=""
    )
    assert differences(ARPO_OFFICIAL, ARPO) == {
        "rollout.scale",
        "rollout.rule.weight",
        "aggregation",
        "updates",
    }
    assert differences(GRPO_OFFICIAL, GRPO) == {"aggregation", "updates"}


def test_the_official_variants_are_the_published_scripts() -> None:
    for official in (AEPO_OFFICIAL, ARPO_OFFICIAL):
        found = settings_of(official)
        common = {
            "rollout.budget": 16,
            "rollout.initial": None,  # half of the budget, which is 8
            "rollout.rule.base": 0.5,
            "rollout.rule.weight": 0.2,
            "rollout.rule.mode": "bernoulli",
            "rollout.scale": "sum20",
            "rollout.look_ahead": 20,
            "advantage.deviation": "sample",
            "advantage.epsilon": 1e-6,
            "loss.low": 0.2,
            "loss.high": 0.2,
            "loss.dual": 3.0,
            "aggregation": "part-token-mean",
            "updates": 8,
        }
        assert {name: found[name] for name in common} == common
        assert official.needs == frozenset()
    own = {"rollout.premonitor": False, "rollout.rule.penalty": 0.05, "rollout.rule.form": "official"}
    assert {name: settings_of(AEPO_OFFICIAL)[name] for name in own} == own
    assert settings_of(AEPO_OFFICIAL)["loss.balanced"] is True
    assert settings_of(ARPO_OFFICIAL)["rollout.rule.penalty"] == 0


def test_every_part_of_aepo_is_on_by_default() -> None:
    found = settings_of(AEPO)
    assert found["rollout.premonitor"]
    assert found["rollout.rule.penalty"] > 0
    assert found["advantage.weight"] > 0
    assert found["loss.balanced"]
    assert AEPO.updates >= 4


def test_algorithms_are_known_by_name() -> None:
    assert all(made.name == name for name, variants in ALGORITHMS.items() for made in variants.values())
    assert algorithm("aepo", "official") is AEPO_OFFICIAL
    with pytest.raises(ValueError, match="choose one of aepo, grpo"):
        algorithm("a3c")
    with pytest.raises(ValueError, match="grpo has no variant 'best': choose one of paper, official"):
        algorithm("grpo", "best")


def gradient(made: Algorithm, logp: Tensor) -> Tensor:
    """Of the loss with respect to every leaf token's log-probability, [K, T]."""
    batch = leaf_batch()
    variable = logp.clone().requires_grad_()
    terms = made.loss(variable, batch.old_log_probs, made.advantages(batch), batch.mask)
    aggregate(terms.loss, batch.mask, row_weights(made.aggregation, batch.mask.sum(-1))).backward()
    assert variable.grad is not None
    return variable.grad


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("weight", [0.2, 0.0])
def test_aepos_gradients_differ_from_grpos_on_the_tokens_its_formulas_name_and_no_other(
    clip: bool, weight: float
) -> None:
    batch = leaf_batch()
    noise = torch.randn(batch.mask.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logp = batch.old_log_probs + 0.6 * noise
    made = replace(AEPO, advantage=replace(AEPO.advantage, weight=weight), loss=replace(AEPO.loss, balanced=clip))
    differ = gradient(made, logp) != gradient(GRPO, logp)

    ratio, advantage = (logp - batch.old_log_probs).exp(), GRPO.advantages(batch)
    above = (advantage > 0) & (ratio > 1.2)
    stopped = (advantage < 0) & ((ratio < 0.8) | (ratio > 3))
    acting = batch.mask & (advantage != 0) & ~stopped
    named = torch.zeros_like(acting)
    if clip:
        named |= acting & above
    if weight:  # no token's entropy is the mean to the last bit
        named |= acting & ~above
    assert torch.equal(differ, named)
    assert above.any()
    assert stopped.any()
    assert (acting & ~above).any()
