import random

import pytest

pytest.importorskip("torch", reason="algorithms.policy needs the extra 'train'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.policy.engine import Branch, Engine, Finish, Generated
from algorithms.policy.learner_forward import learner_forward
from algorithms.policy.local import LocalEngine
from algorithms.policy.packing import TreeBatch
from algorithms.policy.sampling import Sampling
from algorithms.tree import Kind, TokenTree
from tests.algorithms.policy.shared import VOCABULARY, make_model

PIECES = [chr(ord("A") + i) for i in range(26)] + ["</", "ok", ">", "</ok>x", "k>"] + ["~"] * (VOCABULARY - 31)
GREEDY = Sampling(temperature=0)


def start(engine: LocalEngine, tree: TokenTree, count: int) -> list[Branch]:
    trunk = engine.open(tree, key=(tree.question,))
    branches = [engine.fork(trunk, tree.root, key=(tree.question, i)) for i in range(count)]
    engine.close(trunk)
    return branches


def finish(engine: LocalEngine) -> dict[Branch, Generated]:
    done = {}
    while engine.busy:
        done.update({generated.branch: generated for generated in engine.step()})
    return done


def one(engine: LocalEngine, branch: Branch, count: int, **options) -> Generated:
    engine.generate(branch, max_tokens=count, **options)
    return finish(engine)[branch]


def grow(engine: LocalEngine, trees: list[TokenTree], seed: int, turns: int = 3, forks: int = 6) -> None:
    """Drive the engine through turns of differing length, observations, late joins, pauses, forks and early ends."""
    source = random.Random(seed)
    waiting = [branch for tree in trees for branch in start(engine, tree, 2)]
    turn = dict.fromkeys(waiting, 0)
    while waiting or engine.busy:
        while waiting and source.random() < 0.7:
            engine.generate(waiting.pop(), max_tokens=source.randint(1, 5))
        for done in engine.step():
            branch = done.branch
            if turn[branch] == turns or source.random() < 0.15:
                branch.tree.add_leaf(branch.node, "answered")
                engine.close(branch)
                continue
            if forks and source.random() < 0.6:
                forks -= 1
                place = source.choice(branch.tree.path(branch.node))
                waiting.append(engine.fork(branch, place, key=(*branch.key, "fork", forks)))
                turn[waiting[-1]] = turn[branch]
            if source.random() < 0.7:
                engine.observe(branch, [source.randrange(VOCABULARY) for _ in range(source.randint(1, 4))])
            turn[branch] += 1
            waiting.append(branch)


def prompts(count: int, seed: int = 0) -> list[TokenTree]:
    source = random.Random(seed)
    return [TokenTree(f"q{i}", [source.randrange(VOCABULARY) for _ in range(2 + 3 * i)]) for i in range(count)]


def learner_gap(model, trees: list[TokenTree]) -> float:
    """The largest distance of what the engine wrote into the trees from what the learner computes for them."""
    out = learner_forward(model, TreeBatch(trees))
    log_probs = np.concatenate([tree.policy_log_probs() for tree in trees])
    entropies = np.concatenate([tree.policy_entropies() for tree in trees])
    assert len(log_probs)
    return max(
        abs(out.log_probs.detach().numpy() - log_probs).max(), abs(out.entropies.detach().numpy() - entropies).max()
    )


# ------------------------------------------------------------------------------------------------------------ exactness


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_what_is_sampled_is_what_the_learner_computes(kind: str) -> None:
    model, trees = make_model(kind), prompts(3)
    engine = LocalEngine(model)
    grow(engine, trees, seed=1)
    assert sum(len(tree.nodes) for tree in trees) > 25
    assert learner_gap(model, trees) < 1e-10


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.bfloat16, 0.15)])
def test_lower_precisions_are_computed_as_the_learner_does(dtype: torch.dtype, bound: float) -> None:
    model, trees = make_model(dtype=dtype), prompts(2)
    grow(LocalEngine(model), trees, seed=1)
    assert learner_gap(model, trees) < bound
    assert all(node.log_probs for tree in trees for node in tree.nodes if node.kind == Kind.POLICY)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6))
def test_however_branches_join_fork_and_leave_the_numbers_are_exact_and_nothing_stays_behind(seed: int) -> None:
    model, trees = make_model(), prompts(2, seed)
    engine = LocalEngine(model)
    grow(engine, trees, seed)
    for tree in trees:
        tree.check()
    assert learner_gap(model, trees) < 1e-10
    assert (engine.open_branches, engine.store.tokens, engine.store.rows) == (0, 0, 0)


def test_greedy_tokens_are_those_of_transformers() -> None:
    model, tree = make_model("llama"), prompts(3)[2]
    engine = LocalEngine(model)
    ours = one(engine, start(engine, tree, 1)[0], 20, sampling=GREEDY)
    ids = torch.tensor([tree.path_tokens(tree.root)])
    theirs = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False)
    assert ours.drawn.tokens == theirs[0, ids.shape[1] :].tolist()


def test_what_is_sampled_does_not_depend_on_the_company() -> None:
    model = make_model()

    def run(others: int, late: int) -> tuple[list[int], list[float]]:
        """A path with an observation and a fork, beside `others` branches, `late` steps after them."""
        engine = LocalEngine(model)
        trees = prompts(4)
        for branch in [branch for tree in trees[1:] for branch in start(engine, tree, others)]:
            engine.generate(branch, max_tokens=40)
        for _ in range(late):
            engine.step()
        branch = start(engine, trees[0], 1)[0]
        engine.generate(branch, max_tokens=8)
        while branch in engine._requests:
            engine.step()
        engine.observe(branch, [1, 2, 3])
        engine.generate(branch, max_tokens=6)
        while branch in engine._requests:
            engine.step()
        fork = engine.fork(branch, trees[0].fork_point(branch.node), key=("fork",))
        engine.generate(branch, max_tokens=6)
        engine.generate(fork, max_tokens=12)
        while branch in engine._requests or fork in engine._requests:
            engine.step()
        nodes = [node for node in trees[0].nodes if node.kind == Kind.POLICY]
        return [t for node in nodes for t in node.tokens], [x for node in nodes for x in node.log_probs]

    alone, crowded, late = run(0, 0), run(3, 0), run(2, 5)
    assert len(alone[0]) == 8 + 12 + 12
    assert alone[0] == crowded[0] == late[0]
    assert np.abs(np.array(alone[1]) - np.array(crowded[1])).max() < 1e-12


def test_the_same_calls_give_the_same_bits() -> None:
    def run() -> list[dict]:
        trees = prompts(3)
        grow(LocalEngine(make_model(dtype=torch.float32)), trees, seed=4)
        return [tree.to_plain() for tree in trees]

    assert run() == run()


def test_branches_of_one_prompt_draw_differently_and_by_their_key_alone() -> None:
    model = make_model()

    def tokens(keys: list[int]) -> list[list[int]]:
        engine, tree = LocalEngine(model), prompts(1)[0]
        branches = [engine.open(tree, key=(key,)) for key in keys]
        for branch in branches:
            engine.generate(branch, max_tokens=10)
        done = finish(engine)
        return [done[branch].drawn.tokens for branch in branches]

    first, second, third = tokens([1, 2, 3])
    assert first != second != third != first
    assert tokens([3, 1]) == [third, first]


# --------------------------------------------------------------------------------------------- requests and their ends


def test_a_paused_request_goes_on_as_if_it_had_not_paused() -> None:
    model = make_model()
    engine = LocalEngine(model)
    whole, cut = prompts(1)[0], prompts(1)[0]
    one(engine, engine.open(whole, key=(1,)), 9)
    branch = engine.open(cut, key=(1,))
    for count in (2, 4, 3):
        assert one(engine, branch, count).finish == Finish.LENGTH
    assert cut.to_plain()["nodes"][1]["tokens"] == whole.to_plain()["nodes"][1]["tokens"]
    assert len(cut.nodes) == 2


def scripted(model, script: list[int]) -> None:
    """Make `model` predict `script` for sure: token script[i] behind depth i."""
    logits = torch.full((len(script), VOCABULARY), -30.0, dtype=model.dtype)
    logits[torch.arange(len(script)), script] = 30.0

    def forward(input_ids, position_ids, plan, **_):
        plan.calls = model.config.num_hidden_layers
        return type("Output", (), {"last_hidden_state": position_ids[..., None].to(model.dtype)})()

    model.model.forward = forward
    model.lm_head.forward = lambda hidden: logits[hidden[:, 0].long()]


LESS, OK, GREATER, WHOLE, REST = 26, 27, 28, 29, 30


@pytest.mark.parametrize(
    ("script", "count", "finish", "stop"),
    [
        ([0, 1, LESS, OK, GREATER, 2, 2], 5, Finish.STOP, "</ok>"),
        ([0, 1, WHOLE, 2, 2], 3, Finish.STOP, "</ok>"),  # the token goes on behind the stop string and stays whole
        ([0, 1, 2, 39, 2, 2], 4, Finish.END, None),
        ([0, 1, 2, 3, 4, 5, 6, 7], 6, Finish.LENGTH, None),
        ([0, LESS, OK, OK, REST, 1, 1, 1], 6, Finish.LENGTH, None),
    ],
)
def test_a_request_ends_where_it_should(script: list[int], count: int, finish: Finish, stop: str | None) -> None:
    model = make_model()
    scripted(model, script)
    engine, tree = LocalEngine(model, pieces=PIECES, end_tokens={39}), TokenTree("q", [0])
    done = one(engine, engine.open(tree, key=()), 6, stop=("</ok>", "</no>"))
    assert (done.finish, done.stop, done.drawn.tokens) == (finish, stop, script[:count])
    assert tree.nodes[done.branch.node].tokens == script[:count]


def test_a_stop_string_may_straddle_a_pause_but_not_an_observation() -> None:
    model = make_model()
    scripted(model, [1, LESS, OK, GREATER, LESS, OK, 5, GREATER, 7])
    engine, tree = LocalEngine(model, pieces=PIECES), TokenTree("q", [0])
    branch = engine.open(tree, key=())
    assert one(engine, branch, 3, stop=("</ok>",)).finish == Finish.LENGTH
    assert one(engine, branch, 3, stop=("</ok>",)).finish == Finish.STOP
    assert one(engine, branch, 2, stop=("</ok>",)).finish == Finish.LENGTH
    engine.observe(branch, [9])
    assert one(engine, branch, 1, stop=("</ok>",)).drawn.tokens == [GREATER]
    assert tree.nodes[branch.node].kind == Kind.POLICY
    assert [node.kind for node in tree.nodes] == [Kind.PROMPT, Kind.POLICY, Kind.OBSERVATION, Kind.POLICY]


def test_the_models_longest_position_ends_a_request() -> None:
    engine, tree = LocalEngine(make_model(max_position_embeddings=8)), TokenTree("q", [0, 1, 2])
    branch = engine.open(tree, key=())
    done = one(engine, branch, 50)
    assert (done.finish, tree.nodes[branch.node].end) == (Finish.CONTEXT, 8)
    engine.observe(branch, [1])
    with pytest.raises(ValueError, match="path has 9 tokens, the model takes 8"):
        engine.generate(branch, max_tokens=1)


def test_each_branch_has_its_own_way_of_sampling_within_one_batch() -> None:
    model, ways = make_model(), [GREEDY, Sampling(), Sampling(0.5), Sampling(1.0, 3)]

    def tokens(numbers: list[int]) -> list[list[int]]:
        engine, tree = LocalEngine(model), prompts(1)[0]
        branches = [engine.open(tree, key=(n,)) for n in numbers]
        for branch, n in zip(branches, numbers, strict=True):
            engine.generate(branch, max_tokens=8, sampling=ways[n])
        done = finish(engine)
        return [done[branch].drawn.tokens for branch in branches]

    together = tokens([0, 1, 2, 3])
    assert [tokens([n])[0] for n in range(4)] == together


# -------------------------------------------------------------------------------------------------- forks and closing


def test_a_fork_stands_before_the_look_ahead_and_shares_all_before_it() -> None:
    engine, tree = LocalEngine(make_model()), TokenTree("q", list(range(10)))
    branch = start(engine, tree, 1)[0]
    one(engine, branch, 4)
    page = engine.observe(branch, [5, 6, 7])
    one(engine, branch, 3)  # the look-ahead
    stored = engine.store.tokens
    fork = engine.fork(branch, tree.fork_point(branch.node), key=("fork",))
    assert engine.store.tokens == stored
    one(engine, fork, 3)
    assert engine.store.tokens == stored + 3  # the observation's last token once more, then two of its own three
    assert [tree.nodes[node].parent for node in (branch.node, fork.node)] == [page, page]
    assert tree.nodes[page].children == [branch.node, fork.node]


def test_one_prompt_is_stored_once_for_all_its_branches() -> None:
    engine, tree = LocalEngine(make_model()), TokenTree("q", [1] * 100)
    branches = start(engine, tree, 8)
    assert engine.store.tokens == 99
    for branch in branches:
        engine.generate(branch, max_tokens=1)
    engine.step()
    assert engine.store.tokens == 99 + 8


def test_a_closed_parent_leaves_its_forks_what_they_read() -> None:
    model = make_model()
    engine, tree = LocalEngine(model), TokenTree("q", list(range(10)))
    branch = start(engine, tree, 1)[0]
    one(engine, branch, 12)
    tree.add_leaf(branch.node, "answered")
    cut = tree.split(branch.node, 5)
    fork = engine.fork(branch, cut, key=("fork",))
    engine.close(branch)
    engine.close(branch)
    one(engine, fork, 6)
    tree.add_leaf(fork.node, "answered")
    assert learner_gap(model, [tree]) < 1e-10
    engine.close(fork)
    assert engine.store.tokens == 0


def test_two_branches_that_stand_at_one_node_do_not_write_into_it() -> None:
    model = make_model()
    engine, tree = LocalEngine(model), prompts(1)[0]
    branch = engine.open(tree, key=(1,))
    one(engine, branch, 3)
    shared = branch.node
    fork = engine.fork(branch, shared, key=(2,))
    for each in (branch, fork):
        one(engine, each, 2)
        tree.add_leaf(each.node, "answered")
    assert tree.nodes[shared].children == [branch.node, fork.node]
    assert learner_gap(model, [tree]) < 1e-10


def test_a_node_whose_keys_are_gone_is_opened_anew() -> None:
    model = make_model()
    engine, tree = LocalEngine(model), prompts(1)[0]
    branch = engine.open(tree, key=(1,))
    one(engine, branch, 5)
    engine.close(branch)
    again = engine.open(tree, branch.node, key=(2,))
    one(engine, again, 5)
    tree.add_leaf(again.node, "answered")
    assert learner_gap(model, [tree]) < 1e-10


def test_an_observation_not_fed_yet_is_computed_once_for_all_its_forks() -> None:
    model = make_model()
    engine, tree = LocalEngine(model), prompts(1)[0]
    branch = engine.open(tree, key=(1,))
    one(engine, branch, 5)
    page = engine.observe(branch, list(range(20)))
    forks = [engine.fork(branch, page, key=("fork", i)) for i in range(4)]
    assert engine.store.tokens == tree.nodes[page].end - 1
    for fork in forks:
        one(engine, fork, 3)
        tree.add_leaf(fork.node, "answered")
    assert learner_gap(model, [tree]) < 1e-10


def test_a_dropped_request_leaves_the_tree_as_it_was() -> None:
    engine, tree = LocalEngine(make_model()), prompts(1)[0]
    branch = engine.open(tree, key=(1,))
    engine.generate(branch, max_tokens=5)
    engine.step()
    engine.close(branch)
    assert not engine.busy
    assert len(tree.nodes) == 1


def test_weights_that_change_under_open_branches_are_noticed() -> None:
    model = make_model()
    engine = LocalEngine(model)
    branch = engine.open(prompts(1)[0], key=(1,))
    one(engine, branch, 2)
    with torch.no_grad():
        model.model.norm.weight.mul_(1.01)
    engine.generate(branch, max_tokens=2)
    with pytest.raises(RuntimeError, match="weights changed while branches were open"):
        engine.step()
    engine.close_all()
    one(engine, engine.open(prompts(1)[0], key=(1,)), 2)


def test_gradients_can_be_taken_between_two_rollouts() -> None:
    model = make_model()
    engine = LocalEngine(model)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(2):
        trees = prompts(1)
        grow(engine, trees, seed=3)
        assert learner_gap(model, trees) < 1e-10
        learner_forward(model, TreeBatch(trees)).log_probs.sum().backward()
        optimiser.step()


def test_calls_out_of_turn_are_refused() -> None:
    engine, tree = LocalEngine(make_model()), prompts(1)[0]
    branch = engine.open(tree, key=(1,))
    with pytest.raises(ValueError, match="at least 1; got 0"):
        engine.generate(branch, max_tokens=0)
    with pytest.raises(ValueError, match="pieces=token_pieces"):
        engine.generate(branch, max_tokens=1, stop=("</ok>",))
    engine.generate(branch, max_tokens=2)
    with pytest.raises(ValueError, match="generating already"):
        engine.generate(branch, max_tokens=2)
    with pytest.raises(ValueError, match="is generating"):
        engine.observe(branch, [1])
    elsewhere = tree.add(tree.root, Kind.OBSERVATION, [1])
    with pytest.raises(ValueError, match="not on the path"):
        engine.fork(branch, elsewhere, key=(2,))
    engine.close(branch)
    with pytest.raises(ValueError, match="is closed"):
        engine.generate(branch, max_tokens=2)
    assert engine.step() == []


def test_the_local_engine_is_an_engine() -> None:
    engine: Engine = LocalEngine(make_model())
    assert not engine.busy
