"""Run-time audits: what silently goes wrong in this field is measured at every step, and said in words.

    report = audit_log_probs(learner, trees, share=0.02, random=generator)    # raises where numbers disagree
    check_counts(trees, batch)
    print(shown(trees, tokenizer))                                            # what is trained, in words

`rollout.audit` compares every trajectory with what was sampled and what the environment said; here come the numbers:
log-probabilities computed again, and token counts. `watch` warns of what is not wrong but idle.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from algorithms.batch import LeafBatch
from algorithms.policy.learner import Learner
from algorithms.tree import Kind, TokenTree

TOLERANCE = 1e-3
"""Largest difference of log-probabilities, in nats, between sampling and learning. In float32 some 1e-6 is normal."""


class LogProbAudit(NamedTuple):
    """tokens: compared. mean, largest: absolute difference of log-probabilities in nats."""

    tokens: int
    mean: float
    largest: float


def audit_log_probs(
    learner: Learner, trees: Sequence[TokenTree], share: float, random: np.random.Generator
) -> LogProbAudit:
    """Compute the log-probabilities of a share of the sampled tokens again, whole trees at a time.

    Raises:
        FloatingPointError: one differs by more than `TOLERANCE`: the policy that samples is not the one that learns,
            so every probability ratio would be wrong.
    """
    wanted = share * sum(tree.unique_tokens() for tree in trees)
    chosen: list[TokenTree] = []
    for index in random.permutation(len(trees)).tolist():
        if sum(tree.unique_tokens() for tree in chosen) >= wanted:
            break
        chosen.append(trees[index])
    if not chosen:
        return LogProbAudit(0, 0.0, 0.0)
    again = learner.score(chosen, with_entropies=False)
    differences = np.concatenate(
        [
            np.abs(scores.log_probs.double().numpy() - tree.policy_log_probs())
            for scores, tree in zip(again, chosen, strict=True)
        ]
    )
    report = LogProbAudit(len(differences), float(differences.mean()), float(differences.max()))
    if not report.largest <= TOLERANCE:
        raise FloatingPointError(
            f"Of {report.tokens} sampled tokens computed again, one has a log-probability that differs by "
            f"{report.largest:.2g} (at most {TOLERANCE:g} is rounding): sampling and learning do not use the same "
            "weights, temperature or positions. Nothing was trained on this batch."
        )
    return report


def check_counts(trees: Sequence[TokenTree], batch: LeafBatch) -> None:
    """What is trained is what was sampled: leaf tokens under the mask, and unique ones with a number.

    Raises:
        RuntimeError: a count differs, which is a fault of the program.
    """
    on_leaves = 0
    for tree in trees:
        for leaf in tree.leaves:
            on_leaves += sum(
                len(tree.nodes[index].tokens) for index in tree.path(leaf.node) if tree.nodes[index].kind == Kind.POLICY
            )
    trained, unique = int(batch.mask.sum()), int(batch.unique.max()) + 1
    if on_leaves != trained:
        raise RuntimeError(f"{trained} tokens are to be trained, but {on_leaves} tokens on leaves were sampled.")
    sampled = sum(len(tree.policy_log_probs()) for tree in trees)
    if unique != sampled:
        raise RuntimeError(f"{unique} unique tokens have numbers, but {sampled} were sampled.")


def shown(trees: Sequence[TokenTree], tokenizer: Any) -> str:
    """A batch in words: every leaf's text, the policy's tokens between ⟦ and ⟧ (what is trained), with its reward."""
    lines = []
    for tree in trees:
        for number, leaf in enumerate(tree.leaves):
            parts = []
            for index in tree.path(leaf.node):
                node = tree.nodes[index]
                text = tokenizer.decode(node.tokens, skip_special_tokens=False)
                parts.append(f"⟦{text}⟧" if node.kind == Kind.POLICY else text)
            rewards = ", ".join(f"{name} {value:g}" for name, value in leaf.rewards.items())
            lines.append(f"--- {tree.question}, leaf {number}: {leaf.stop_reason}, {rewards}\n{''.join(parts)}\n")
    return "\n".join(lines)
