"""LoRA: exact on trees, nothing but adapters moves, and the plain model is there before, beside and after."""

from copy import deepcopy
from pathlib import Path
from types import MethodType
from typing import Any

import pytest

pytest.importorskip("torch", reason="algorithms.policy needs the extra 'train'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")
pytest.importorskip("peft", reason="adapters need the extra 'lora'")

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from algorithms.policy.critic import Critic
from algorithms.policy.learner import Learner, OptimiserSettings
from algorithms.policy.learner_forward import learner_forward
from algorithms.policy.loading import load_policy
from algorithms.policy.local import LocalEngine
from algorithms.policy.lora import (
    LAYERS,
    LoraSettings,
    adapter_state,
    add_adapters,
    load_adapter_state,
    merged,
    without_adapters,
)
from algorithms.policy.packing import TreeBatch
from algorithms.policy.reference import Reference
from tests.algorithms.policy.shared import alone, clipped_loss, distance, exact_norm, make_model
from tests.algorithms.policy.test_learner import negative_sum
from tests.algorithms.policy.test_local import grow, learner_gap, prompts
from tests.algorithms.rewarded import questions
from tests.algorithms.training.small import untrained as policy

ALL = LoraSettings(rank=4, alpha=8.0)
SETTINGS = OptimiserSettings(lr=1e-2)


def adapted(kind: str = "qwen3", settings: LoraSettings = ALL, fresh: bool = False) -> Any:
    """A model with adapters that say something, as after training, unless they are to be fresh."""
    model = make_model(kind)
    add_adapters(model, settings, seed=3)
    source = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, weights in trained(model).items():
            if "lora_B" in name and not fresh:
                weights.copy_(torch.randn(weights.shape, generator=source, dtype=weights.dtype))
    return model


def trained(model: Any) -> dict[str, Tensor]:
    return {name: each for name, each in model.named_parameters() if each.requires_grad}


def gradient_of_adapters(model: Any, loss: Tensor) -> Tensor:
    parts = torch.autograd.grad(loss, list(trained(model).values()))
    assert all(part.any() for part in parts)
    return torch.cat([part.flatten() for part in parts])


# ----------------------------------------------------------------------------------------------------------- exactness


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
def test_numbers_and_gradients_of_trees_are_those_of_every_trajectory_alone(kind: str) -> None:
    model, batch = adapted(kind), TreeBatch(questions())
    expected, uncertain = alone(model, batch)
    out = learner_forward(model, batch)
    log_probs = batch.on_leaves(out.log_probs)
    assert (log_probs - expected).abs().max() < 1e-10
    assert (batch.on_leaves(out.entropies) - uncertain).abs().max() < 1e-10
    theirs = gradient_of_adapters(model, clipped_loss(expected, batch.mask))
    ours = gradient_of_adapters(model, clipped_loss(log_probs, batch.mask))
    assert theirs.norm() > 0.1
    assert distance(ours, theirs) < 1e-9


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_what_is_sampled_is_what_the_learner_computes(kind: str) -> None:
    model, trees = adapted(kind), prompts(3)
    grow(LocalEngine(model), trees, seed=1)
    assert learner_gap(model, trees) < 1e-10
    with without_adapters(model):
        assert learner_gap(model, trees) > 1e-3


def test_the_engine_sees_that_adapters_changed() -> None:
    model, (tree,) = adapted(), prompts(1)
    engine = LocalEngine(model)
    branch = engine.open(tree, key=(1,))
    engine.generate(branch, max_tokens=2)
    engine.step()
    Learner(model, SETTINGS, 100).step(questions(), [[0]], negative_sum)
    with pytest.raises(RuntimeError, match="weights changed while branches were open"):
        engine.step()


def test_an_adapter_adds_alpha_over_rank_times_its_matrices() -> None:
    """By the formula, to weights of a plain model: nothing of peft in it."""
    model, plain = adapted(settings=LoraSettings(rank=2, alpha=5.0, targets="q_proj, down_proj")), make_model()
    adapters = trained(model)
    with torch.no_grad():
        for name, weights in plain.named_parameters():
            layer = name.removesuffix(".weight")
            if layer.endswith(("q_proj", "down_proj")):
                a, b = (adapters[f"{layer}.lora_{each}.default.weight"] for each in "AB")
                weights += 2.5 * b @ a
    batch = TreeBatch(questions())
    found, expected = (learner_forward(each, batch).log_probs for each in (model, plain))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    assert len(adapters) == 2 * 2 * 3  # A and B, of two layers, in three blocks


# ---------------------------------------------------------------------------------------------------- what is trained


@pytest.mark.parametrize("targets", ["all", "q_proj,v_proj"])
def test_adapters_alone_are_trained_and_the_weights_stay_as_they_are_to_the_bit(targets: str) -> None:
    settings = LoraSettings(rank=4, targets=targets)
    model, plain = adapted(settings=settings, fresh=True), make_model()
    learner = Learner(model, SETTINGS, 100)
    for group in ([0], [1, 3]):
        learner.step(questions(), [group], negative_sum)
    moving = trained(model)
    assert {name.split(".")[-4] for name in moving} == set(settings.layers)
    assert all(".lora_" in name for name in moving)
    assert all(weights.any() for weights in moving.values())  # B began at 0
    kept = {name.replace(".base_layer", ""): each for name, each in model.state_dict().items() if ".lora_" not in name}
    assert kept.keys() == plain.state_dict().keys()
    assert all(torch.equal(each, kept[name]) for name, each in plain.state_dict().items())


def test_new_adapters_change_nothing_and_their_seed_decides_them() -> None:
    state = torch.random.get_rng_state()
    one, other = make_model(), make_model()
    torch.random.set_rng_state(state)
    add_adapters(one, ALL, seed=3)
    assert torch.equal(torch.random.get_rng_state(), state)
    add_adapters(other, ALL, seed=4)
    batch = TreeBatch(questions())
    plain = learner_forward(make_model(), batch).log_probs
    assert torch.equal(learner_forward(one, batch).log_probs, plain)
    again = trained(adapted(fresh=True))
    assert all(torch.equal(each, again[name]) for name, each in trained(one).items())
    assert not any(torch.equal(each, again[name]) for name, each in trained(other).items() if "lora_A" in name)


def test_names_of_layers_are_those_of_every_supported_model() -> None:
    for kind in ("llama", "qwen2", "qwen3"):
        modules = make_model(kind).model.named_modules()
        assert {name.rpartition(".")[2] for name, each in modules if isinstance(each, torch.nn.Linear)} == set(LAYERS)


# ------------------------------------------------------------------------------------------- reference, critic, saving


def test_the_reference_is_the_model_without_its_adapters_and_costs_no_copy() -> None:
    model, trees = adapted(), questions()
    reference, learner = Reference(model, 100), Learner(model, SETTINGS, 100)
    expected = Reference(make_model(), 100).score(trees)
    for _ in range(2):
        found = reference.score(trees)
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))
        before = learner.score(trees)[0].log_probs
        assert (before - found[0]).abs().max() > 1e-3  # and the policy is itself again
        learner.step(trees, [[0]], negative_sum)
        assert not torch.equal(learner.score(trees)[0].log_probs, before)
    assert reference.model is model
    assert reference.state_dict() == {}
    with pytest.raises(ZeroDivisionError), without_adapters(model):
        raise ZeroDivisionError
    assert len(trained(model)) == 2 * len(LAYERS) * 3


def test_a_critic_has_adapters_of_its_own_beside_the_policys_weights() -> None:
    model, trees = adapted(fresh=True), questions()
    critic = Critic(model, SETTINGS, 100)
    before = deepcopy(model.state_dict())
    for _ in range(3):
        critic.step(trees, [[0, 1]], lambda _, batch, values: (values - 1).square().sum())
    assert all(torch.equal(before[name], weights) for name, weights in model.state_dict().items())
    theirs: Any = critic.model
    shared = {id(each) for each in model.parameters()} & {id(each) for each in theirs.parameters()}
    assert shared == {id(each) for each in model.parameters() if not each.requires_grad}
    assert critic.state_dict()["model"].keys() == trained(model).keys()
    other = Critic(model, SETTINGS, 100)
    other.load_state_dict(critic.state_dict())
    for ours, others in zip(critic.values(trees), other.values(trees), strict=True):
        assert torch.equal(ours, others)
    with pytest.raises(ValueError, match="lacks 42 weights of the critic"):
        other.load_state_dict({**critic.state_dict(), "model": {}})


@pytest.mark.parametrize("tied", [True, False])
def test_merged_weights_load_in_plain_transformers_and_compute_the_same(tmp_path: Path, tied: bool) -> None:
    model = make_model("qwen2", tie_word_embeddings=tied)  # with biases
    names = list(model.state_dict())
    add_adapters(model, ALL, seed=0)
    Learner(model, SETTINGS, 100).step(questions(), [[0, 1]], negative_sum)
    weights = merged(model)
    assert list(weights) == names
    model.save_pretrained(tmp_path, state_dict=weights)
    assert not (tmp_path / "adapter_config.json").exists()
    loaded, told = AutoModelForCausalLM.from_pretrained(tmp_path, dtype="float64", output_loading_info=True)
    assert not any(told.values())
    ids = torch.arange(20)[None]
    for module in loaded.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = MethodType(exact_norm, module)  # as in make_model
    torch.testing.assert_close(loaded(ids).logits, model(ids).logits, rtol=0, atol=1e-9)
    assert not torch.allclose(loaded(ids).logits, make_model("qwen2", tie_word_embeddings=tied)(ids).logits)


def test_what_merging_would_round_is_kept_apart() -> None:
    model = adapted()
    state = deepcopy(adapter_state(model))
    resumed = make_model()
    resumed.load_state_dict(merged(model))
    add_adapters(resumed, ALL, seed=9)
    load_adapter_state(resumed, state)
    ours, theirs = model.state_dict(), resumed.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    for wrong in ({}, adapter_state(adapted(settings=LoraSettings(rank=2)))):
        with pytest.raises(ValueError, match=r"lora\.rank, lora\.targets and the model"):
            load_adapter_state(resumed, wrong)


# ------------------------------------------------------------------------------------------------------------ mistakes


def test_a_folder_of_adapters_is_no_model(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    policy().save(tmp_path / "model")
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    peft.get_peft_model(model, peft.LoraConfig(target_modules=["q_proj"])).save_pretrained(tmp_path / "adapters")
    policy().tokenizer.save_pretrained(tmp_path / "adapters")
    with pytest.raises(ValueError, match="holds adapters, not a model"):
        load_policy(tmp_path / "adapters")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rank": -1}, "lora.rank from 0"),
        ({"rank": 4, "alpha": 0.0}, "lora.alpha above 0"),
        ({"rank": 4, "targets": "q_proj,vproj"}, "did you mean 'v_proj'"),
        ({"rank": 4, "targets": "lm_head"}, "lora.targets is all, or some of q_proj"),
        ({"rank": 4, "targets": ""}, "got ''"),
        ({"alpha": 32.0}, "with lora.rank=0 there are none"),
    ],
)
def test_settings_that_cannot_be_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LoraSettings(**given)


def test_adapters_are_added_once() -> None:
    with pytest.raises(ValueError, match="without adapters"):
        add_adapters(adapted(), ALL, seed=0)
    with pytest.raises(ValueError, match="rank above 0"):
        add_adapters(make_model(), LoraSettings(), seed=0)
