"""Steps as the rollout notes them: where each turn stands, and the state it was taken from, on every kind of path."""

from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

from aepo_env.env import ToolEnv
from aepo_env.errors import ForkNotSupported
from aepo_env.tools.tool import CallContext, Fault, ToolResult
from algorithms.rollout.aepo import EntropyBalanced
from algorithms.rollout.arpo import EntropyBranching
from algorithms.rollout.branching import ForkRule
from algorithms.rollout.independent import Independent
from algorithms.rollout.inputs import TokenLimits
from algorithms.rollout.paths import Strategy
from algorithms.rollout.playing import state_of
from algorithms.rollout.tree_search import RandomExpansion
from algorithms.training.measures import step_shares
from algorithms.tree import Leaf, TokenTree
from tests.algorithms.rollout.scripted import play, searches
from tests.fakes import TASKS, CounterTool, EchoTool, FaultyTool, HoldingTool, make_env

ALWAYS = ForkRule(base=1.0, weight=0.0, penalty=0.0)
STRATEGIES: dict[str, Strategy] = {
    "independent": Independent(budget=4),
    "arpo": EntropyBranching(6, 2, ALWAYS, 4, "mean"),
    "aepo": EntropyBalanced(6, rule=ALWAYS, look_ahead=4, scale="mean"),
    "tree search": RandomExpansion(budget=9, trees=2, rounds=2),
}


def turns(tree: TokenTree, leaf: Leaf) -> list[str]:
    tokens = tree.path_tokens(leaf.node)
    return [bytes(tokens[step.start : step.end]).decode() for step in leaf.steps]


def replayed(env: ToolEnv, texts: list[str]) -> list[str]:
    """States before each turn of an episode that is played again from its beginning."""
    env.reset(options={"task": TASKS[0]})
    states = []
    for text in texts:
        states.append(state_of(env))
        env.step(text)
    return states


@pytest.mark.parametrize("name", STRATEGIES)
def test_steps_are_the_turns_and_the_states_they_were_taken_from(name: str) -> None:
    tools = (EchoTool("search"), CounterTool())
    grown, _ = play(STRATEGIES[name], searches(3), make_env(tools=tools))
    (tree,) = grown.trees
    again = make_env(tools=tools)
    for leaf in tree.leaves:
        texts = turns(tree, leaf)
        assert [text[:7] for text in texts] == ["<search"] * 3 + ["<answer"]
        assert [step.state for step in leaf.steps] == replayed(again, texts)
        assert [step.reward for step in leaf.steps] == [0.0, 0.0, 0.0, leaf.rewards["total"]]
    assert len({leaf.steps[0].state for leaf in tree.leaves}) == 1  # all begin at the question
    assert TokenTree.from_plain(tree.to_plain()).to_plain() == tree.to_plain()
    tree.check()


def test_a_turn_that_was_cut_is_a_step_too() -> None:
    grown, _ = play(Independent(2), searches(3), make_env(), limits=TokenLimits(turn=30, total=60))
    (tree,) = grown.trees
    for leaf in tree.leaves:
        assert leaf.stop_reason in ("max_context", "max_turn_tokens")
        assert leaf.steps[-1].end == tree.nodes[leaf.node].end


@pytest.mark.parametrize(
    "strategy", [Independent(1), RandomExpansion(budget=1), EntropyBranching(2, 1, ALWAYS, 4, "mean")]
)
def test_a_path_that_began_again_tells_the_steps_it_has(strategy: Strategy) -> None:
    tool = FaultyTool(["a", Fault("network", "down"), "b"])
    grown, _ = play(strategy, searches(3), make_env(tools=(tool,)))
    (tree,) = grown.trees
    assert grown.reports[0].retried == 1
    for leaf in tree.leaves:
        assert [text[:7] for text in turns(tree, leaf)] == ["<search"] * 3 + ["<answer"]
    tree.check()


def test_the_same_result_reached_on_other_ways_is_the_same_state() -> None:
    def write(key: tuple[Any, ...], before: str) -> tuple[str, float]:
        turn = before.count("</result>")
        # One path looks "b" up at once, the other after "a".
        wanted = (["b"], ["a", "b"])[key[3]]
        return (f"<search>{wanted[turn]}</search>" if turn < len(wanted) else "<answer>0</answer>"), 1.0

    grown, _ = play(Independent(2), write, make_env())
    first, second = grown.trees[0].leaves
    assert first.steps[1].state == second.steps[2].state
    assert second.steps[1].state not in {step.state for step in first.steps}
    shares = step_shares(grown.trees)
    assert shares == {"count": 5, "grouped": 4 / 5, "later_grouped": 2 / 3}


def test_a_step_that_leaves_share_is_no_group_by_itself() -> None:
    strategy = EntropyBranching(2, 1, ALWAYS, 4, "mean")
    grown, _ = play(strategy, searches(2), make_env())
    (tree,) = grown.trees
    assert tree.leaves[0].steps[0] == tree.leaves[1].steps[0]
    shares = step_shares(grown.trees)
    assert shares["count"] == 5  # one shared first turn, two later ones each
    assert shares["grouped"] == 2 / 5  # the two that answer the shared result


# --------------------------------------------------------------------------------------------------------- tree search


@pytest.mark.parametrize(("budget", "trees", "rounds"), [(6, 2, 1), (9, 2, 2), (16, None, 3), (3, 3, 1), (1, 1, 1)])
def test_chains_are_grown_anew_until_the_budget_is_used(budget: int, trees: int | None, rounds: int) -> None:
    grown, _ = play(RandomExpansion(budget, trees, rounds), searches(3), make_env())
    (tree,), (report,) = grown.trees, grown.reports
    chains = trees or max(1, budget // 4)
    assert len(tree.leaves) == budget
    assert [leaf.parent for leaf in report.leaves[:chains]] == [None] * chains
    assert [leaf.trunk for leaf in tree.leaves[:chains]] == list(range(chains))
    sizes = [sum(leaf.trunk == chain for leaf in tree.leaves) for chain in range(chains)]
    assert max(sizes) - min(sizes) <= 1
    for leaf, record in zip(tree.leaves[chains:], report.leaves[chains:], strict=True):
        assert record.parent is not None
        assert leaf.trunk == tree.leaves[record.parent].trunk
        assert record.origin in tree.path(leaf.node)
        assert record.origin in tree.path(tree.leaves[record.parent].node)
        before = [step for step in leaf.steps if step.start < tree.nodes[record.origin].end]
        assert tree.leaves[record.parent].steps[: len(before)] == tuple(before)


def test_steps_to_grow_anew_from_are_drawn_uniformly_the_prompt_among_them() -> None:
    origins: list[int] = []
    for step in range(60):
        grown, _ = play(RandomExpansion(budget=5, trees=1), searches(3), make_env(), step=step)
        origins += [len(grown.trees[0].path(leaf.origin)) for leaf in grown.reports[0].leaves[1:]]
    shares = [origins.count(depth) / len(origins) for depth in (1, 3, 5, 7)]
    assert sum(shares) == 1
    assert all(abs(share - 0.25) < 0.07 for share in shares)  # 240 draws: 2.5 standard errors


def test_equal_seeds_grow_equal_trees() -> None:
    found = [play(RandomExpansion(budget=8), searches(3), make_env())[0].trees[0].to_plain() for _ in range(2)]
    assert found[0] == found[1]


def test_a_tree_that_lost_its_chain_is_replaced_by_starts_at_the_prompt() -> None:
    down = Fault("network", "down")
    tool = FaultyTool([down, down, "fine"])
    grown, _ = play(RandomExpansion(budget=4, trees=1), searches(1), make_env(tools=(tool,)))
    assert grown.reports[0].dropped == 1
    assert len(grown.trees[0].leaves) == 3
    assert [leaf.parent for leaf in grown.reports[0].leaves] == [None] * 3


def test_where_the_environment_cannot_be_put_aside_paths_are_grown_anew_from_the_prompt() -> None:
    class Touchy(HoldingTool):
        """Cannot be forked any more once it was called."""

        def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
            state.touched = True
            return super().call(state, argument, context)

        def fork(self, state: Any, *, rng: str, seed: int) -> Any:
            if getattr(state, "touched", False):
                raise ForkNotSupported("touched")
            return super().fork(state, rng=rng, seed=seed)

    tool = Touchy("search")
    grown, _ = play(RandomExpansion(budget=4, trees=1), searches(2), make_env(tools=(tool,)))
    (report,) = grown.reports
    assert [(leaf.parent, leaf.origin) for leaf in report.leaves] == [(None, 0), (0, 0), (0, 0), (0, 0)]
    assert [leaf.trunk for leaf in grown.trees[0].leaves] == [0] * 4
    assert report.unforkable == 2
    assert tool.open == 0


@pytest.mark.parametrize("wrong", [{"trees": 0}, {"trees": 17}, {"rounds": 0}, {"budget": 0}])
def test_searches_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="Expected budget, rounds and look-ahead"):
        RandomExpansion(**wrong)
