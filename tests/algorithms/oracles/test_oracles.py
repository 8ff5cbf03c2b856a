"""Every oracle vector this project has a counterpart for; the others are listed with the reason.

`pytest tests -k oracle` closes with how many ran, passed and were left out, and why (see conftest.py beside this).
"""

import numpy as np
import pytest

from tests.algorithms.oracles.vectors import COUNT, Case, all_cases

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

from tests.algorithms.oracles.dispatch import answer, left_out, reason_left_out

RUN = [case for case in all_cases() if reason_left_out(case) is None]


@pytest.mark.parametrize("case", RUN, ids=lambda case: case.id)
def test_oracle(case: Case) -> None:
    found = answer(case)
    assert found
    for name, value in found.items():
        expected = case.outputs[name]
        if case.kind == "advantage" and expected.ndim == 2:  # some leave numbers on padding, which no loss reads
            expected = np.where(case.inputs["mask"] == 1, expected, 0.0)
        np.testing.assert_allclose(
            np.asarray(value, dtype=float), expected, rtol=case.rtol, atol=case.atol, err_msg=f"{case.id}: {name}"
        )


def test_no_oracle_vector_is_lost() -> None:
    assert len(RUN) + left_out().total() == COUNT
    assert len(RUN) >= 700
