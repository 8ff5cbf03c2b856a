"""Official variants: in what each differs from the paper's form, by the published scripts' numbers; they train."""

from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch

from algorithms.names import NAMES
from algorithms.settings import settings_of
from algorithms.training.known import ALGORITHMS, algorithm
from tests.algorithms.leaves import leaf_batch
from tests.algorithms.training.small import config, trainer

# AEPO's, ARPO's and GRPO's: test_aepo_arpo_grpo.py.
SCRIPTS: dict[str, dict[str, Any]] = {
    # 512 questions of 16 trajectories, mini-batches of 32
    "dapo": {"aggregation": "part-token-mean", "updates": 16},
    # 128 questions of 8, mini-batches of 16, max_num_gen_batches=1
    "gppo": {"rollout.budget": 8, "aggregation": "part-token-mean", "updates": 8, "filter.rounds": 1},
    "ce-gppo": {"rollout.budget": 8, "aggregation": "part-token-mean", "updates": 8, "filter.rounds": 1},
    # 256 questions of 8, mini-batches of 32
    "clip-cov": {"rollout.budget": 8, "aggregation": "part-token-mean", "updates": 8},
    "kl-cov": {"rollout.budget": 8, "aggregation": "part-token-mean", "updates": 8},
    "gigpo": {"rollout.budget": 8, "advantage.statistics": "steps"},
    "tree-grpo": {"rollout.budget": 6, "rollout.trees": 2, "aggregation": "part-token-mean"},
    "reinforce++": {"advantage.biased": True, "loss.dual": None},
    "reinforce++-baseline": {"advantage.biased": True, "loss.dual": None},
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_differs_in_what_the_scripts_have_and_nothing_else(name: str) -> None:
    paper, official = (settings_of(algorithm(name, variant)) for variant in ("paper", "official"))
    assert {path: value for path, value in official.items() if value != paper[path]} == SCRIPTS[name]
    assert paper.keys() == official.keys()


def test_who_has_one() -> None:
    assert {name for name in NAMES if "official" in ALGORITHMS[name]} == {"aepo", "arpo", "grpo", *SCRIPTS}


@pytest.mark.parametrize("name", ["reinforce++", "reinforce++-baseline"])
def test_openrlhfs_whitening_divides_by_n(name: str) -> None:
    batch = leaf_batch()
    paper, official = (algorithm(name, variant).advantage(batch)[batch.mask] for variant in ("paper", "official"))
    count = int(batch.mask.sum())
    torch.testing.assert_close(
        official / paper, torch.full_like(paper, (count / (count - 1)) ** 0.5), rtol=1e-6, atol=0
    )
    assert official.std(correction=0) == pytest.approx(1)


@pytest.mark.parametrize("name", ["kl-cov", "reinforce++", "tree-grpo"])
def test_it_trains(name: str) -> None:
    made = trainer(config(algorithm=name, variant="official", questions=2, token_budget=300))
    metrics = made.step()
    made.close()
    assert metrics["leaves"] > 0
    assert metrics["update"]["steps"]
