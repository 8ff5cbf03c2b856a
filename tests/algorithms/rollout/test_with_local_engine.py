"""The whole of it: code tasks, a random model of two layers, the local engine, forks; no step is scripted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from aepo_env.env import ToolEnv
from aepo_env.episode import Limits
from aepo_env.protocols.protocol import Answer, Call, Calls, Malformed
from aepo_env.sandbox.pool import InterpreterPool
from aepo_env.tools.python import PythonTool
from aepo_env.worlds.code import generated_code
from algorithms.rollout.aepo import EntropyBalanced
from algorithms.rollout.branching import ForkRule
from algorithms.rollout.grow import grow
from algorithms.rollout.inputs import TokenLimits
from tests.algorithms.rollout.scripted import Bytes
from tests.fakes import FakeSandbox, exact_match


class Babble:
    """What a random model says means something here: a capital letter ends a call, a digit an answer."""

    stop = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123")

    def parse(self, text: str) -> Calls | Answer | Malformed:
        span = (0, len(text))
        if text[-1:] in set("0123"):
            return Answer(text[-1], span)
        if text[-1:] in set(self.stop):
            return Calls((Call("python", f"n = globals().get('n', 0) + {len(text)}; print(n)", span),))
        return Malformed("Neither a call nor an answer.")

    def render(self, text: str) -> str:
        return f"[{text}]"

    def system_prompt(self, tools: Sequence[Any]) -> str:
        return ""


def test_a_random_model_grows_trees_whose_numbers_are_the_learners() -> None:
    pytest.importorskip("torch", reason="algorithms.policy needs the extra 'train'")
    pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")
    from algorithms.policy.learner_forward import learner_forward
    from algorithms.policy.local import LocalEngine
    from algorithms.policy.packing import TreeBatch
    from tests.algorithms.policy.shared import make_model

    world = generated_code(difficulty="tiny")
    pool = InterpreterPool(FakeSandbox(), 64)
    env = ToolEnv(world.tasks, [PythonTool(pool)], exact_match, protocol=Babble(), limits=Limits(turns=5), world=world)
    model = make_model(vocab_size=256, num_hidden_layers=2)
    engine = LocalEngine(model, pieces=[chr(i) if i < 128 else "\ufffd" for i in range(256)], end_tokens={0})
    strategy = EntropyBalanced(6, rule=ForkRule(base=0.8), look_ahead=4)
    options = {"seed": 0, "step": 1, "limits": TokenLimits(turn=24, total=400)}
    tasks = [world.tasks[i] for i in range(4)]
    grown = grow(tasks, env, engine, Bytes(), strategy, **options)  # type: ignore[arg-type]

    assert [len(tree.leaves) for tree in grown.trees] == [6] * 4
    assert sum(record.outcome == "forked" for report in grown.reports for record in report.forks) >= 4
    assert len({leaf.stop_reason for report in grown.reports for leaf in report.leaves}) > 1
    assert (engine.open_branches, engine.store.tokens, pool.live) == (0, 0, 0)

    out = learner_forward(model, TreeBatch(grown.trees))
    for ours, name in ((out.log_probs, "policy_log_probs"), (out.entropies, "policy_entropies")):
        sampled = np.concatenate([getattr(tree, name)() for tree in grown.trees])
        assert np.abs(ours.detach().numpy() - sampled).max() < 1e-10

    again = grow(tasks, env, engine, Bytes(), strategy, **options)  # type: ignore[arg-type]
    assert [tree.to_plain() for tree in again.trees] == [tree.to_plain() for tree in grown.trees]
    assert again.reports == grown.reports
