"""Where a reference gave NaN, an infinity or an error, this project gives finite numbers.

Its own rules there (a token with a broken input is left out, an empty batch has loss 0) are tested beside the parts.
"""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

from tests.algorithms.oracles.dispatch import ANSWERS, answer
from tests.algorithms.oracles.vectors import Case, all_cases

FAULTS = [
    case
    for case in all_cases()
    if (not case.finite or case.raises) and case.inputs and (case.algorithm, case.kind) in ANSWERS and case.args
]


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.id)
def test_finite_where_the_reference_was_not(case: Case) -> None:
    if case.dtype == "float32":  # the published settings bound no log-ratio; this project's defaults do
        case = replace(case, args=case.args | {"log_ratio_clamp": 20.0})
    found = answer(case)
    assert all(np.isfinite(value).all() for value in found.values())


def test_there_are_faults_to_look_at() -> None:
    assert len(FAULTS) >= 30
