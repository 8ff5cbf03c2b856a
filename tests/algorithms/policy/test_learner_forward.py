import pytest

pytest.importorskip("torch", reason="algorithms.policy needs the extra 'train'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, GPT2Config, MistralConfig, Qwen2Config

from algorithms.policy.learner_forward import learner_forward
from algorithms.policy.models import require_supported
from algorithms.policy.packing import TreeBatch, pack
from algorithms.tree import Kind, TokenTree
from tests.algorithms.policy.shared import alone, clipped_loss, distance, gradient, make_model
from tests.algorithms.trees import even_tree, nested_tree, random_tree

LOG_PROB, GRADIENT = 1e-10, 1e-9  # absolute, and relative

SHAPES = {
    "16 leaves on 4 levels": lambda: [even_tree(0, (9, 4, 3, 5, 4), (2, 2, 2, 2))],
    "flat": lambda: [even_tree(1, (12, 9), (8,))],
    "nested and duplicate": lambda: [nested_tree()],
    "ragged": lambda: [random_tree(12, nodes=25)],
    "several questions": lambda: [nested_tree(), random_tree(5), even_tree(2, (3, 4, 2), (3, 2)), random_tree(8)],
    "one trajectory": lambda: [even_tree(3, (4, 5), (1,))],
}


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
@pytest.mark.parametrize("shape", SHAPES)
def test_numbers_and_gradients_are_those_of_every_trajectory_alone(kind: str, shape: str) -> None:
    model, batch = make_model(kind), TreeBatch(SHAPES[shape]())
    expected, uncertain = alone(model, batch)
    out = learner_forward(model, batch)
    log_probs = batch.on_leaves(out.log_probs)
    assert (log_probs - expected).abs().max() < LOG_PROB
    assert (batch.on_leaves(out.entropies) - uncertain).abs().max() < LOG_PROB
    reference = gradient(model, clipped_loss(expected, batch.mask))
    assert reference.norm() > 0.1
    assert distance(gradient(model, clipped_loss(log_probs, batch.mask)), reference) < GRADIENT


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=3))
def test_random_trees_are_exact(seeds: list[int]) -> None:
    model, trees = make_model("qwen3"), [random_tree(seed) for seed in seeds]
    batch = TreeBatch(trees)
    expected, _ = alone(model, batch)
    assert (batch.on_leaves(learner_forward(model, batch).log_probs) - expected).abs().max() < LOG_PROB


def test_a_batch_in_which_the_policy_wrote_nothing_gives_nothing() -> None:
    tree = TokenTree("q", [1, 2])
    tree.add_leaf(tree.root, "answered")
    batch = TreeBatch([tree])
    out = learner_forward(make_model(), batch)
    assert (out.log_probs.shape, out.entropies.shape) == ((0,), (0,))
    assert batch.on_leaves(out.log_probs).tolist() == [[0, 0]]


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_however_questions_are_packed_the_gradient_is_the_same(kind: str) -> None:
    model = make_model(kind)
    trees = [even_tree(seed, (4 + seed, 3, 5), (2, 2)) for seed in range(4)] + [nested_tree(), random_tree(5)]
    total = float(sum(tree.rows().mask.sum() for tree in trees))
    first = [sum(len(tree.leaves) for tree in trees[:i]) for i in range(len(trees))]

    def summed(budget: int) -> torch.Tensor:
        parts = []
        for group in pack(trees, budget):
            batch = TreeBatch([trees[i] for i in group])
            log_probs = batch.on_leaves(learner_forward(model, batch).log_probs)
            loss = log_probs.new_zeros(())
            for place, i in enumerate(group):
                mine = batch.tree_of_leaf == place
                loss = loss + clipped_loss(log_probs[mine], batch.mask[mine], first[i], total)
            parts.append(gradient(model, loss))
        return torch.stack(parts).sum(0)

    assert [len(pack(trees, budget)) for budget in (10**6, 60, 1)] == [1, 5, 6]
    whole = TreeBatch(trees)
    reference = gradient(model, clipped_loss(alone(model, whole)[0], whole.mask, 0, total))
    for budget in (10**6, 60, 1):
        assert distance(summed(budget), reference) < GRADIENT


def test_qwen2_is_exact() -> None:
    model, batch = make_model("qwen2"), TreeBatch([random_tree(12, nodes=25)])
    log_probs = batch.on_leaves(learner_forward(model, batch).log_probs)
    assert (log_probs - alone(model, batch)[0]).abs().max() < LOG_PROB


def test_the_temperature_divides_the_logits() -> None:
    model, batch = make_model(), TreeBatch([nested_tree()])
    out, (expected, uncertain) = learner_forward(model, batch, temperature=0.6), alone(model, batch, 0.6)
    assert (batch.on_leaves(out.log_probs) - expected).abs().max() < LOG_PROB
    assert (batch.on_leaves(out.entropies) - uncertain).abs().max() < LOG_PROB
    with pytest.raises(ValueError, match="must be positive; got 0"):
        learner_forward(model, batch, temperature=0)


@pytest.mark.parametrize("entropy_gradient", [False, True])
def test_a_head_in_pieces_changes_nothing(entropy_gradient: bool) -> None:
    model, batch = make_model(), TreeBatch([random_tree(12, nodes=25), nested_tree()])

    def run(limit: int) -> tuple[torch.Tensor, torch.Tensor]:
        out = learner_forward(model, batch, entropy_gradient=entropy_gradient, logits_at_once=limit)
        loss = clipped_loss(batch.on_leaves(out.log_probs), batch.mask)
        if entropy_gradient:
            loss = loss + out.entropies.sum()
        return torch.cat([out.log_probs, out.entropies]).detach(), gradient(model, loss)

    (whole, reference), (pieces, ours) = run(10**9), run(40 * 3)
    assert (whole - pieces).abs().max() < LOG_PROB
    assert distance(ours, reference) < GRADIENT


def test_the_entropy_has_a_gradient_where_asked_for_and_none_otherwise() -> None:
    model, batch = make_model(), TreeBatch([random_tree(12, nodes=25)])
    bonus = batch.on_leaves(learner_forward(model, batch, entropy_gradient=True).entropies).sum()
    assert distance(gradient(model, bonus), gradient(model, alone(model, batch)[1].sum())) < GRADIENT
    assert not learner_forward(model, batch).entropies.requires_grad


def test_gradient_checkpointing_is_exact() -> None:
    model, batch = make_model("llama"), TreeBatch([random_tree(12, nodes=25)])

    def ours() -> torch.Tensor:
        return gradient(model, clipped_loss(batch.on_leaves(learner_forward(model, batch).log_probs), batch.mask))

    plain = ours()
    model.gradient_checkpointing_enable()
    model.train()
    assert distance(ours(), plain) < GRADIENT


def test_float32_models_are_computed_in_float32() -> None:
    model, batch = make_model(dtype=torch.float32), TreeBatch([random_tree(12, nodes=25)])
    log_probs = batch.on_leaves(learner_forward(model, batch).log_probs)
    assert log_probs.dtype == torch.float32
    assert (log_probs - alone(model, batch)[0]).abs().max() < 1e-3


def test_bfloat16_models_get_their_softmax_in_float32() -> None:
    model, batch = make_model(dtype=torch.bfloat16), TreeBatch([nested_tree()])
    out = learner_forward(model, batch)
    assert (out.log_probs.dtype, out.entropies.dtype) == (torch.float32, torch.float32)
    assert torch.isfinite(out.log_probs).all()


def test_a_token_of_a_sibling_or_of_another_question_is_not_seen() -> None:
    def log_probs(sibling: int, other: int) -> torch.Tensor:
        tree, stranger = TokenTree("q", [1, 2]), TokenTree("other", [other, other])
        for token in (sibling, 7):
            tree.add_leaf(tree.add(tree.root, Kind.POLICY, [token, token], [0, 0], [0, 0]), "answered")
        stranger.add_leaf(stranger.add(stranger.root, Kind.POLICY, [3], [0], [0]), "answered")
        return learner_forward(model, TreeBatch([stranger, tree])).log_probs.detach()

    model = make_model()
    first, second = log_probs(5, 5), log_probs(9, 9)
    assert torch.equal(first[-2:], second[-2:])
    assert not torch.equal(first[:-2], second[:-2])


def test_the_model_keeps_its_own_attention_even_after_an_error() -> None:
    model, batch = make_model(), TreeBatch([nested_tree()])
    before = model.config._attn_implementation
    learner_forward(model, batch)
    assert model.config._attn_implementation == before
    batch.layout.segments.pop()
    with pytest.raises(ValueError, match="zip"):
        learner_forward(model, batch)
    assert model.config._attn_implementation == before


SMALL = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 32, "num_attention_heads": 4}


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: GPT2Config(vocab_size=40, n_embd=32, n_layer=2, n_head=4), "type is 'gpt2'"),
        (lambda: MistralConfig(**SMALL, num_key_value_heads=2, sliding_window=8), "sliding window of 8"),
        (
            lambda: Qwen2Config(
                **SMALL, num_key_value_heads=2, use_sliding_window=True, sliding_window=8, max_window_layers=1
            ),
            "full_attention, sliding_attention",
        ),
        (lambda: make_model("llama", attention_dropout=0.1).config, "attention_dropout is 0.1"),
        (
            lambda: (
                make_model("llama", rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}).config
            ),
            r"frequencies \(dynamic\)",
        ),
    ],
)
def test_models_that_would_give_wrong_numbers_are_refused(make, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        require_supported(AutoModelForCausalLM.from_config(make()))


def test_sinks_and_linear_layers_are_refused() -> None:
    model = make_model("llama")
    model.model.layers[0].self_attn.sinks = torch.nn.Parameter(torch.zeros(4))
    with pytest.raises(ValueError, match="attention sinks"):
        require_supported(model)
    model = make_model("qwen3")
    model.config.layer_types = ["full_attention", "linear_attention", "full_attention"]
    with pytest.raises(ValueError, match="linear_attention"):
        require_supported(model)


def test_a_layer_that_takes_another_way_is_found_out() -> None:
    model, batch = make_model(), TreeBatch([nested_tree()])
    model.model.layers[1].self_attn.forward = lambda hidden_states, **_: (hidden_states, None)
    with pytest.raises(ValueError, match="2 of 3 layers"):
        learner_forward(model, batch)
