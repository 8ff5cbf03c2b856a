"""Traces: what a step wrote is what it grew, readable without torch, and a report can be made of a real run."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

from torch import Tensor

from algorithms.algorithm import LeafBatch
from algorithms.report.page import page_data
from algorithms.report.run_files import RunFiles
from algorithms.report.terminal import Look, tree_lines
from algorithms.report.traces import Trace, read, texts, trace_file, traced_steps
from algorithms.report.turns import turns
from algorithms.training import trainer as module
from algorithms.training.run_directory import RunDirectory
from algorithms.training.traces import _differences, chosen
from algorithms.tree import TokenTree
from tests.algorithms.training.small import config, tokenizer, trainer

Seen = tuple[LeafBatch, Tensor]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Seen]]:
    """Two steps of AEPO with all questions traced, and what was trained on."""
    seen: list[Seen] = []
    whole = module.update

    def spied(learner: Any, algorithm: Any, batch: LeafBatch, advantage: Tensor, *rest: Any) -> Any:
        seen.append((batch, advantage))
        return whole(learner, algorithm, batch, advantage, *rest)

    wanted = config(seed=1)  # with it a batch gives two optimiser steps
    directory = RunDirectory.create(tmp_path_factory.mktemp("run"), wanted, "by hand")
    made = trainer(wanted, directory=directory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "update", spied)
        made.evaluate("before")
        made.train()
        made.evaluate("after")
    made.close()
    return directory.path, seen


@pytest.fixture(scope="module")
def traced(run: tuple[Path, list[Seen]]) -> list[tuple[Trace, TokenTree, Seen]]:
    folder, seen = run
    assert traced_steps(folder) == [1, 2]
    found = [
        (trace, batch.trees[trace["question"]], (batch, advantage))
        for step, (batch, advantage) in enumerate(seen, start=1)
        for trace in read(folder, step)
    ]
    assert len(found) == 8
    return found


def test_the_tree_comes_back_to_its_tokens_and_nearly_to_its_numbers(
    traced: list[tuple[Trace, TokenTree, Seen]],
) -> None:
    for trace, tree, _ in traced:
        back = TokenTree.from_plain(trace["tree"])
        assert [node.tokens for node in back.nodes] == [node.tokens for node in tree.nodes]
        assert [leaf.rewards for leaf in back.leaves] == [leaf.rewards for leaf in tree.leaves]
        assert np.abs(back.policy_log_probs() - tree.policy_log_probs()).max() <= 5.1e-5
        assert np.abs(back.policy_entropies() - tree.policy_entropies()).max() <= 5.1e-5


def test_the_text_of_the_tokens_is_the_text_of_the_node(traced: list[tuple[Trace, TokenTree, Seen]]) -> None:
    for trace, tree, _ in traced:
        for node in tree.nodes:
            pieces = texts(trace, node.index)
            assert len(pieces) == len(node.tokens)
            assert "".join(pieces) == tokenizer().decode(node.tokens, clean_up_tokenization_spaces=False)


def test_advantages_are_those_that_were_trained_on(traced: list[tuple[Trace, TokenTree, Seen]]) -> None:
    several = 0
    for trace, tree, (batch, advantage) in traced:
        rows = batch.leaves_of([trace["question"]]).tolist()
        assert len(rows) == len(trace["leaves"]) == len(tree.leaves)
        for row, leaf in zip(rows, trace["leaves"], strict=True):
            own = advantage[row][batch.mask[row]]
            assert leaf["advantage"] == pytest.approx(float(own.mean()), rel=1e-3, abs=1e-12)
            if leaf["advantages"] is None:
                assert float(own.max() - own.min()) <= 1e-9
            else:
                several += 1
                assert leaf["advantages"] == pytest.approx(own.tolist(), rel=6e-3, abs=1e-12)
    assert several


def test_forks_are_found_again_in_the_tree(
    run: tuple[Path, list[Seen]], traced: list[tuple[Trace, TokenTree, Seen]]
) -> None:
    metrics = RunFiles.read(run[0]).metrics
    for step in (1, 2):
        some = [trace for trace, _, _ in traced if trace["step"] == step]
        records = [record for trace in some for record in trace["report"]["forks"]]
        assert len(records) == metrics[step - 1]["rollout"]["fork_decisions"]
        taken = [record for record in records if record["outcome"] == "forked"]
        assert len(taken) == metrics[step - 1]["rollout"]["forks"]
        children = sum(turn.forked for trace in some for turn in turns(trace))
        assert children == len(taken)  # none was lost to faults
    assert any(turn.forked for trace, _, _ in traced for turn in turns(trace))


def test_pooled_counts_of_probabilities_hold_every_decision(run: tuple[Path, list[Seen]]) -> None:
    for one in RunFiles.read(run[0]).metrics:
        assert sum(count for _, count in one["rollout"]["fork_probabilities"]) == one["rollout"]["fork_decisions"]


def test_a_real_run_has_every_part_of_a_report(run: tuple[Path, list[Seen]]) -> None:
    data = page_data(RunFiles.read(run[0]))
    assert data["trees"]
    assert {"Success", "Tokens", "P(fork)", "Time"} <= {chart["title"] for chart in data["charts"]}
    assert len(data["families"][0]["rows"]) > 1
    assert set(data["summary"]["gain"]) == {"greedy", "sampled"}
    assert len(data["parts"]) == 8


def test_every_trajectory_of_a_real_tree_is_drawn_once(traced: list[tuple[Trace, TokenTree, Seen]]) -> None:
    for trace, tree, _ in traced:
        drawn = list(tree_lines(trace, Look(width=90)))
        assert sum("✓ reward" in line or "✗ reward" in line for line in drawn) == len(tree.leaves)


def test_a_step_written_again_is_the_same_file_and_leaves_nothing_aside(
    run: tuple[Path, list[Seen]], tmp_path: Path
) -> None:
    again = config(seed=1, steps=1)
    directory = RunDirectory.create(tmp_path / "again", again, "by hand")
    made = trainer(again, directory=directory)
    made.train()
    made.close()
    assert trace_file(directory.path, 1).read_bytes() == trace_file(run[0], 1).read_bytes()
    assert [file.name for file in (directory.path / "traces").iterdir()] == ["step_000001.jsonl.gz"]


def test_how_many_questions_are_traced_can_be_chosen(tmp_path: Path) -> None:
    for count, wanted in ((0, []), (2, [0, 2])):
        some = config(steps=1, traces=count)
        directory = RunDirectory.create(tmp_path / str(count), some, "by hand")
        made = trainer(some, directory=directory)
        made.train()
        made.close()
        file = trace_file(directory.path, 1)
        assert file.exists() == (count > 0)
        found = gzip.decompress(file.read_bytes()).splitlines() if file.exists() else []
        assert [json.loads(line)["question"] for line in found] == wanted
    with pytest.raises(ValueError, match="traces must be at least 0"):
        replace(config(), traces=-1)


def test_questions_are_spread_over_the_batch() -> None:
    played: Any = list("abcdefghij")
    assert [index for index, _ in chosen(played, 4)] == [0, 2, 5, 7]
    assert [index for index, _ in chosen(played, 99)] == list(range(10))
    assert chosen(played, 0) == []


def test_a_character_of_several_tokens_belongs_to_the_one_that_completes_it() -> None:
    assert _differences(["a", "a\ufffd", "a\ufffd\ufffd", "aé", "aéb"]) == ["a", "", "", "é", "b"]
    assert "".join(_differences(["\ufffd", "\ufffd\ufffd"])) == "\ufffd\ufffd"  # never completed


def test_warnings_are_written_and_a_run_that_goes_on_has_heard_the_earlier_ones(tmp_path: Path) -> None:
    wanted = config(steps=2)
    directory = RunDirectory.create(tmp_path, wanted, "by hand")
    made = trainer(wanted, directory=directory)
    first = made.step()
    assert first["warnings"] == []
    state, looked = made.state(), []
    made.close()
    again = trainer(wanted, directory=directory)
    again.load_state(state)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            module.Watch, "look", lambda self, metrics: looked.append(metrics["step"]) or [f"Heard {len(looked)}."]
        )
        again.step()
    again.close()
    assert looked == [1, 2]
    assert directory.records("metrics.jsonl")[-1]["warnings"] == ["Heard 2."]
