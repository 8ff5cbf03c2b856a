"""Audits: numbers that were tampered with stop a run; the first batch shows exactly what is trained."""

import copy
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch

from algorithms.algorithm import LeafBatch
from algorithms.policy.learner import Learner, OptimiserSettings, Scores
from algorithms.rollout.grow import grow
from algorithms.training.audits import audit_log_probs, check_counts, shown
from algorithms.training.questions import make_environment
from algorithms.training.trainer import algorithm_of
from algorithms.tree import Kind, TokenTree
from tests.algorithms.training.small import SHORT, config, policy, tokenizer, trainer

SETTINGS = OptimiserSettings(lr=1e-3)


@pytest.fixture(scope="module")
def grown() -> list[TokenTree]:
    start, wanted = policy(), config()
    made = trainer(wanted, start)
    env = make_environment(SHORT, "train", 5)
    tasks = [env.unwrapped.tasks[i] for i in range(3)]
    found = grow(
        tasks, env, start.engine(), start.codec, algorithm_of(wanted).rollout, seed=0, step=0, limits=made.limits
    )
    env.close()
    return found.trees


@pytest.fixture
def trees(grown: list[TokenTree]) -> list[TokenTree]:
    return copy.deepcopy(grown)


def learner(temperature: float = 1.0) -> Learner:
    return Learner(policy().model, SETTINGS, 4_096, temperature)


def source() -> np.random.Generator:
    return np.random.default_rng(0)


def policy_node(tree: TokenTree) -> Any:
    return next(node for node in tree.nodes if node.kind == Kind.POLICY and node.index in tree.covered())


def test_what_was_sampled_is_what_is_learned(trees: list[TokenTree]) -> None:
    report = audit_log_probs(learner(), trees, 1.0, source())
    assert report.tokens == sum(len(tree.policy_log_probs()) for tree in trees)
    assert 0 < report.mean <= report.largest < 1e-4


@pytest.mark.parametrize("wrong", [0.002, -0.5, float("nan"), float("-inf")])
def test_a_log_probability_that_was_tampered_with_stops_the_run(trees: list[TokenTree], wrong: float) -> None:
    policy_node(trees[1]).log_probs[0] += wrong
    with pytest.raises(FloatingPointError, match="Nothing was trained"):
        audit_log_probs(learner(), trees, 1.0, source())


def test_other_weights_another_temperature_and_another_token_are_noticed(trees: list[TokenTree]) -> None:
    with pytest.raises(FloatingPointError):
        audit_log_probs(learner(temperature=0.9), trees, 1.0, source())
    changed = learner()
    with torch.no_grad():
        changed.model.get_input_embeddings().weight.mul_(1.01)
    with pytest.raises(FloatingPointError):
        audit_log_probs(changed, trees, 1.0, source())
    node = policy_node(trees[0])
    node.tokens[0] = (node.tokens[0] + 1) % 512
    with pytest.raises(FloatingPointError):
        audit_log_probs(learner(), trees, 1.0, source())


def test_a_share_takes_whole_trees_until_it_is_reached_in_an_order_drawn(trees: list[TokenTree]) -> None:
    counts = [len(tree.policy_log_probs()) for tree in trees]
    assert len(set(counts)) == 3
    assert audit_log_probs(learner(), trees, 0.0, source()).tokens == 0
    seen = {audit_log_probs(learner(), trees, 0.01, np.random.default_rng(seed)).tokens for seed in range(12)}
    assert seen == set(counts)


def test_token_counts_that_differ_are_a_fault(trees: list[TokenTree]) -> None:
    batch = LeafBatch.of(trees, [Scores.sampled(tree) for tree in trees])
    check_counts(trees, batch)
    fewer = batch.mask.clone()
    fewer[tuple(batch.mask.nonzero()[-1].tolist())] = False
    with pytest.raises(RuntimeError, match="are to be trained"):
        check_counts(trees, replace(batch, mask=fewer))
    with pytest.raises(RuntimeError, match=r"unique tokens have numbers, but \d+ were sampled"):
        check_counts(trees, replace(batch, unique=batch.unique - (batch.unique == batch.unique.max()).long()))


def test_what_is_shown_marks_exactly_the_policys_text(trees: list[TokenTree]) -> None:
    text = shown(trees, tokenizer())
    blocks = text.split("--- ")[1:]
    leaves = [(tree, leaf) for tree in trees for leaf in tree.leaves]
    assert len(blocks) == len(leaves)
    for block, (tree, leaf) in zip(blocks, leaves, strict=True):
        head, _, body = block.partition("\n")
        assert head.startswith(f"{tree.question}, leaf ")
        assert f"total {leaf.rewards['total']:g}" in head
        assert leaf.stop_reason in head
        nodes = [tree.nodes[index] for index in tree.path(leaf.node)]
        written = [tokenizer().decode(node.tokens) for node in nodes if node.kind == Kind.POLICY]
        others = [tokenizer().decode(node.tokens) for node in nodes if node.kind != Kind.POLICY]
        assert re.findall("⟦(.*?)⟧", body, re.DOTALL) == written
        assert re.sub("⟦.*?⟧", "", body, flags=re.DOTALL).strip() == "".join(others).strip()
