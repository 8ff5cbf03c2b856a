"""What token trees save: the tree learner and the tree engine against the usual ways, side by side in one run.

    python -m benchmarks.speed.tree                 # all; --only learner, --only decode; --repeats 5

Learner: forward and backward of one clipped loss over all leaves of a batch, in three ways that give the same numbers:
`tree` (every unique token once), `padded` (one row per leaf, padded right) and `loop` (one leaf after the other, no
padding: what padding-free training costs). Decode: tokens per second of greedy generation, LocalEngine against
`generate()` of transformers on repeated prompts, once and over several turns with observations between them (`generate`
starts each turn anew), and how many tokens agree (rounding may turn a tie).

All ways run in turn within each repeat, so that a busy machine hits all alike; times are the process's CPU seconds, the
least of all repeats; one thread. The model is of Qwen3's type with random weights, 5 million parameters.

Left out: GPUs, other trainers (their figures would be of their whole step).
"""

import argparse
import math
import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen3Config, Qwen3ForCausalLM

from algorithms.policy.engine import Branch
from algorithms.policy.learner_forward import learner_forward
from algorithms.policy.local import LocalEngine
from algorithms.policy.packing import TreeBatch
from algorithms.policy.sampling import Sampling
from algorithms.tree import Kind, TokenTree

VOCABULARY = 4096
GREEDY = Sampling(temperature=0)


def make_model() -> Any:
    """Random weights, larger than at initialisation, so that attention really mixes positions."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        intermediate_size=1024,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
    )
    model = Qwen3ForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(3)
    return model


# ------------------------------------------------------------------------------------------------------------ workloads


def tokens(source: random.Random, count: int) -> list[int]:
    """Random token ids."""
    return [source.randrange(VOCABULARY) for _ in range(count)]


def add_policy(tree: TokenTree, parent: int, source: random.Random, count: int) -> int:
    """A policy node of random tokens, with numbers nobody looks at here."""
    return tree.add(parent, Kind.POLICY, tokens(source, count), [0.0] * count, [0.0] * count)


def even_tree(lengths: list[int], branches: list[int], seed: int = 0) -> TokenTree:
    """A prompt of lengths[0] tokens, then at each level `branches` children of lengths[level] tokens each."""
    source = random.Random(seed)
    tree = TokenTree(f"even-{seed}", tokens(source, lengths[0]))
    ends = [tree.root]
    for length, count in zip(lengths[1:], branches, strict=True):
        ends = [add_policy(tree, end, source, length) for end in ends for _ in range(count)]
    for end in ends:
        tree.add_leaf(end, "answered")
    return tree


def agent_tree(leaves: int = 16, roots: int = 8, turns: int = 4, seed: int = 3) -> TokenTree:
    """What AEPO grows: `roots` paths of thoughts and observations; half of the turns fork until the budget is spent."""
    source = random.Random(seed)

    def about(mean: int) -> int:
        return max(4, int(source.gauss(mean, mean / 4)))

    tree = TokenTree(f"agent-{seed}", tokens(source, 200))
    live, used = [tree.root] * roots, roots
    for turn in range(turns):
        thoughts = [add_policy(tree, place, source, about(48)) for place in live]
        if turn == turns - 1:
            live = thoughts
            break
        live = []
        for place in thoughts:
            page = tree.add(place, Kind.OBSERVATION, tokens(source, about(80)))
            fork = used < leaves and source.random() < 0.5
            used += fork
            live += [page] * (1 + fork)
    for place in live:
        tree.add_leaf(place, "answered")
    return tree


WORKLOADS: dict[str, Callable[[], list[TokenTree]]] = {
    "4 levels of 2, even (96 each)": lambda: [even_tree([96] * 5, [2] * 4)],
    "4 levels of 2, long root (288, 48 each)": lambda: [even_tree([288, 48, 48, 48, 48], [2] * 4)],
    "flat, prompt 288, 16 x 192": lambda: [even_tree([288, 192], [16])],
    "agent: 8 roots, forks up to 16": lambda: [agent_tree()],
    "flat, 8 questions of 8, 64 + 64": lambda: [even_tree([64, 64], [8], seed) for seed in range(8)],
}


# -------------------------------------------------------------------------------------------------------------- learner


def flat_log_probs(model: Any, batch: TreeBatch, together: bool) -> Tensor:
    """[K, T] log-probabilities of the policy tokens, from padded rows or from one row at a time."""
    out = torch.zeros(batch.index.shape)
    rows = [(r.tokens[i, : r.lengths[i]], r.mask[i, : r.lengths[i]]) for r in batch.rows for i in range(len(r.lengths))]
    step = len(rows) if together else 1
    parts = []
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        width = max(len(ids) for ids, _ in part)
        ids, real, mask = (torch.zeros(len(part), width, dtype=torch.long) for _ in range(3))
        for i, (row, trained) in enumerate(part):
            ids[i, : len(row)], real[i, : len(row)] = torch.from_numpy(row), 1
            mask[i, : len(row)] = torch.from_numpy(trained)
        hidden = model.model(input_ids=ids, attention_mask=real, use_cache=False).last_hidden_state
        wanted = mask[:, 1:].bool()
        logits = model.lm_head(hidden[:, :-1][wanted])
        labels = ids[:, 1:][wanted]
        parts.append(logits.gather(-1, labels[:, None])[:, 0] - torch.logsumexp(logits, dim=-1))
    return out.masked_scatter(batch.mask, torch.cat(parts))


def clipped_loss(log_probs: Tensor, batch: TreeBatch) -> Tensor:
    """PPO's clipped surrogate with an advantage per leaf, token mean."""
    advantage = torch.linspace(-1, 1, len(log_probs))[:, None]
    ratio = torch.exp(log_probs - log_probs.detach())
    objective = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
    return -(objective * batch.mask).sum() / batch.mask.sum()


def learner_ways(model: Any, trees: list[TokenTree]) -> dict[str, Callable[[], Any]]:
    """One forward and backward in each way; laying out the trees is part of the tree's way."""

    def run(way: str) -> list[Tensor]:
        model.zero_grad(set_to_none=True)
        batch = TreeBatch(trees)
        if way == "tree":
            log_probs = batch.on_leaves(learner_forward(model, batch).log_probs)
        else:
            log_probs = flat_log_probs(model, batch, together=way == "padded")
        torch.autograd.backward(clipped_loss(log_probs, batch))
        return [parameter.grad for parameter in model.parameters()]

    return {way: partial(run, way) for way in ("padded", "loop", "tree")}


def measure_learner(model: Any, repeats: int) -> None:
    """Print a line per workload."""
    print("Learner, forward + backward: seconds, and how many times faster the tree is")
    print(f"{'workload':42}{'raw':>7}{'unique':>8}{'padded':>9}{'loop':>8}{'tree':>8}{'x padded':>10}{'x loop':>8}")
    for name, make in WORKLOADS.items():
        trees = make()
        best, results = race(learner_ways(model, trees), repeats)
        raw, unique = sum(tree.raw_tokens() for tree in trees), sum(tree.unique_tokens() for tree in trees)
        print(
            f"{name:42}{raw:7}{unique:8}{best['padded']:9.2f}{best['loop']:8.2f}{best['tree']:8.2f}"
            f"{best['padded'] / best['tree']:10.2f}{best['loop'] / best['tree']:8.2f}"
            f"   gradients differ by {difference(results['tree'], results['loop']):.0e}"
        )


def difference(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """Relative distance of two lists of gradients."""
    pairs = list(zip(ours, theirs, strict=True))
    wrong = sum(float((a - b).square().sum()) for a, b in pairs)
    return math.sqrt(wrong / sum(float(b.square().sum()) for _, b in pairs))


# --------------------------------------------------------------------------------------------------------------- decode


def decode_ways(
    model: Any, prompts: Tensor, group: int, new: int, pages: list[Tensor]
) -> dict[str, Callable[[], Tensor]]:
    """Generate `new` tokens for `group` copies of each prompt, then again behind each observation in `pages`."""

    def reference() -> Tensor:
        ids: Tensor = prompts.repeat_interleave(group, dim=0)
        options = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False, "pad_token_id": 0}
        with torch.inference_mode():
            ids = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **options)
            for page in pages:
                ids = torch.cat([ids, page.expand(len(ids), -1)], dim=1)
                ids = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **options)
        return ids

    def ours() -> Tensor:
        engine = LocalEngine(model)
        branches: list[Branch] = []
        for number, prompt in enumerate(prompts.tolist()):
            tree = TokenTree(str(number), prompt)
            trunk = engine.open(tree, key=(number,))
            branches += [engine.fork(trunk, tree.root, key=(number, i)) for i in range(group)]
            engine.close(trunk)
        for turn in range(len(pages) + 1):
            for branch in branches:
                if turn:
                    engine.observe(branch, pages[turn - 1].tolist())
                engine.generate(branch, max_tokens=new, sampling=GREEDY)
            while engine.busy:
                engine.step()
        engine.close_all()
        return torch.tensor([branch.tree.path_tokens(branch.node) for branch in branches])

    return {"generate": reference, "engine": ours}


def measure_decode(model: Any, repeats: int) -> None:
    """Print a line per shape."""
    model.generation_config.eos_token_id = None
    print("\nDecode, 64 rows, greedy: tokens per CPU second")
    print(f"{'rows and tokens':50}{'generate()':>12}{'engine':>9}{'x':>7}{'same tokens':>13}")
    for count, group, length, new, turns in ((8, 8, 64, 64, 1), (8, 8, 512, 64, 1), (8, 8, 200, 48, 3)):
        source = torch.Generator().manual_seed(0)
        prompts = torch.randint(0, VOCABULARY, (count, length), generator=source)
        pages = [torch.randint(0, VOCABULARY, (80,), generator=source) for _ in range(turns - 1)]
        best, results = race(decode_ways(model, prompts, group, new, pages), repeats)
        rate = {way: count * group * new * turns / seconds for way, seconds in best.items()}
        same = float((results["generate"] == results["engine"]).double().mean())
        name = f"{count} x {group}, prompt {length}, {turns} x {new} new" + (", pages of 80" if turns > 1 else "")
        times = rate["engine"] / rate["generate"]
        print(f"{name:50}{rate['generate']:12.0f}{rate['engine']:9.0f}{times:7.2f}{same:13.3f}")


# ------------------------------------------------------------------------------------------------------------- the race


def race(ways: Mapping[str, Callable[[], Any]], repeats: int) -> tuple[dict[str, float], dict[str, Any]]:
    """The least CPU seconds of each way, after one round that does not count, and each way's last result."""
    best = dict.fromkeys(ways, float("inf"))
    results = {}
    for repeat in range(repeats + 1):
        for name, run in ways.items():
            start = time.process_time()
            results[name] = run()
            if repeat:
                best[name] = min(best[name], time.process_time() - start)
    return best, results


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=["learner", "decode"], help="run one half")
    parser.add_argument("--repeats", type=int, default=3, help="rounds that count (default 3)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = make_model()
    if options.only != "decode":
        measure_learner(model, options.repeats)
    if options.only != "learner":
        measure_decode(model, options.repeats)


if __name__ == "__main__":
    main()
