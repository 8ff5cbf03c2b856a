"""Parts switched off one at a time give, through the whole pipeline, the algorithm that theory says, to the bit.

AEPO with every part off is GRPO: that and what each part alone changes is in `test_whole_pipeline.py`.
"""

from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch

from algorithms.advantage.estimators import GroupNormalised
from algorithms.aepo import AEPO
from algorithms.algorithm import Algorithm
from algorithms.loss.surrogates import Clip
from algorithms.policy.learner import OptimiserSettings
from algorithms.rollout.arpo import EntropyBranching
from algorithms.settings import with_settings
from algorithms.training import trainer as module
from algorithms.training.measures import without_timings
from tests.algorithms.training.small import config, trainer, weights

# Steps so long that clips act within two steps of four updates.
FAR = OptimiserSettings(lr=5e-3, weight_decay=0.1, max_grad_norm=0.5)


def run(algorithm: str, settings: dict[str, Any], made: Algorithm | None = None) -> tuple[list[Any], torch.Tensor]:
    """Metrics of two steps and the weights after them; `made` trains in place of what the name stands for."""
    wanted = config(algorithm=algorithm, settings={"updates": 4, **settings}, questions=6, optimiser=FAR)
    with pytest.MonkeyPatch.context() as patched:
        if made is not None:
            patched.setattr(module, "algorithm_of", lambda _: with_settings(made, wanted.settings))
        one = trainer(wanted)
    metrics = [without_timings(one.step()) for _ in range(2)]
    for numbers in metrics:
        del numbers["parts"]  # what the algorithm has, acting or not
    one.close()
    return metrics, weights(one.policy.model)


def same(ours: tuple[list[Any], torch.Tensor], theirs: tuple[list[Any], torch.Tensor]) -> bool:
    return ours[0] == theirs[0] and torch.equal(ours[1], theirs[1])


OFF = {"premonitor": "rollout.premonitor", "weight": "advantage.weight", "balanced": "loss.balanced"}
THEORY = {
    "premonitor": replace(AEPO, rollout=EntropyBranching(budget=16, rule=AEPO.rollout.rule)),
    "weight": replace(AEPO, advantage=GroupNormalised(deviation="sample")),
    "balanced": replace(AEPO, loss=Clip(low=0.2, high=0.2, dual=3.0)),
}


@pytest.mark.parametrize("part", THEORY)
def test_one_part_off_is_aepo_with_the_plain_part_in_its_place(part: str) -> None:
    assert same(run("aepo", {OFF[part]: "no" if part != "weight" else "0"}), run("aepo", {}, THEORY[part]))


def test_without_its_own_three_aepo_is_arpo() -> None:
    off = {"rollout.premonitor": "no", "rollout.rule.penalty": "0", "advantage.weight": "0", "loss.balanced": "no"}
    ours, theirs = run("aepo", off), run("arpo", {})
    assert ours[0][0]["rollout"]["forks"] > 0
    assert same(ours, theirs)


@pytest.fixture(scope="module")
def grpo() -> tuple[list[Any], torch.Tensor]:
    return run("grpo", {})


@pytest.mark.parametrize(
    ("name", "off"),
    [
        ("gigpo", {"advantage.weight": "0", "kl.coefficient": "0"}),
        ("tree-grpo", {"rollout.trees": "4", "kl.coefficient": "0"}),
        ("arpo", {"rollout.initial": "4"}),
    ],
)
def test_with_their_parts_off_others_are_grpo_too(name: str, off: dict[str, str], grpo: Any) -> None:
    assert sum(one["update"]["clipped_high"] + one["update"]["clipped_low"] for one in grpo[0]) > 0  # clips did act
    assert same(run(name, off), grpo)


def test_options_that_are_off_compute_nothing_and_change_nothing(grpo: Any) -> None:
    assert same(run("grpo", {"kl.estimator": "k2", "kl.place": "reward", "mismatch.normalised": "yes"}), grpo)
    # The engine's own numbers are the learner's up to rounding: a correction is all but the identity.
    corrected, after = run("grpo", {"mismatch.kind": "tis"})
    assert corrected[0]["update"]["correction_weight"] == pytest.approx(1.0, abs=1e-5)
    assert torch.allclose(after, grpo[1], atol=2e-3)
