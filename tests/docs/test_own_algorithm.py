"""The walk of docs/own_algorithm.md, made word for word on a copy of the checkout."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import numpy as np
import torch

from algorithms.loss.aggregation import aggregate, row_weights
from tests.algorithms.oracles.losses import mask_of, tensor
from tests.algorithms.oracles.vectors import Case, all_cases
from tests.readme import ROOT

PAGE = (ROOT / "docs" / "own_algorithm.md").read_text("utf-8")
(FILE,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
ADDED = re.findall(r"^```diff\n (.*?)\n\+(.*?)\n```$", PAGE, re.MULTILINE)
SAPO = [case for case in all_cases() if case.algorithm == "sapo"]


def test_the_walk_has_under_forty_lines() -> None:
    written = [line for line in FILE.splitlines() if line.strip()]
    assert len(ADDED) == 3
    assert len(written) + len(ADDED) < 40


def test_the_walk_trains(tmp_path: Path) -> None:
    from tests.algorithms.training.small import untrained

    shutil.copytree(ROOT / "algorithms", tmp_path / "algorithms", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "algorithms" / "sapo.py").write_text(FILE, "utf-8")
    for place, (above, line) in zip(("names.py", "training/known.py", "training/known.py"), ADDED, strict=True):
        file = tmp_path / "algorithms" / place
        text = file.read_text("utf-8")
        assert text.count(f"{above}\n") == 1, f"{place} has no line of its own {above!r}"
        file.write_text(text.replace(f"{above}\n", f"{above}\n{line}\n"), "utf-8")
    untrained().save(tmp_path / "model")
    options = ["--model", "model", "--steps", "1", "--eval-questions", "2", "--threads", "1", "--run-dir", "run"]
    done = subprocess.run(
        [sys.executable, "-m", "algorithms.run", "sapo", "--env", "web", "--preset", "smoke", *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "AEPO_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (line,) = (tmp_path / "run" / "metrics.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["questions"] == 8


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The page's loss."""
    file = tmp_path_factory.mktemp("walk") / "sapo.py"
    file.write_text(FILE, "utf-8")
    names = runpy.run_path(str(file), run_name="sapo")
    assert names["SAPO"].aggregation == "sequence-mean-token-mean"
    return names["SoftGate"]


@pytest.mark.parametrize("case", SAPO, ids=lambda case: case.id)
def test_the_walks_loss_is_that_of_the_libraries(case: Case, gate: Any) -> None:
    logp = tensor(case.inputs["logp"], case).requires_grad_()
    mask = mask_of(case)
    advantage = tensor(case.inputs["adv"], case)
    if advantage.dim() == 1:
        advantage = advantage.unsqueeze(-1).expand_as(logp)
    temperatures = (case.args["tau_pos"], case.args["tau_neg"])
    if case.part == "trl":  # which keeps temperatures in float32
        temperatures = tuple(float(np.float32(value)) for value in temperatures)
    made = gate(*temperatures)
    terms = made(logp, tensor(case.inputs["old_logp"], case), advantage, mask)
    weights = row_weights("sequence-mean-token-mean", mask.sum(-1))
    if case.part == "trl":  # which counts empty rows too
        weights = weights * (mask.sum(-1) > 0).sum() / len(mask)
    loss = aggregate(terms.loss, mask, weights)
    loss.backward()
    assert logp.grad is not None
    np.testing.assert_allclose(loss.detach().numpy(), case.outputs["loss"], rtol=case.rtol, atol=case.atol)
    np.testing.assert_allclose(logp.grad.numpy(), case.outputs["grad"], rtol=case.rtol, atol=case.atol)
    torch.testing.assert_close(-logp.grad, weights[:, None] * terms.factor * mask)
