"""The oracle vectors: inputs, and what reference implementations made of them. Read with numpy alone.

`cases.json` lists 829 cases: which library, version and function computed the numbers, with which arguments, dtype and
tolerances. `vectors.npz` holds the numbers, every distinct array once. Only numbers were taken over, no code: from verl
0.9.1, TRL 1.16.0, OpenRLHF 0.11.2, torchrl 0.14.1, the published code of AEPO, ARPO, CE-GPPO, GiGPO, Tree-GRPO and
ARLArena (EMPG), and from closed forms worked out by hand in float64 (part "closed").

`finite` is False where the reference itself gave NaN or an infinity, `raises` its message where it failed.
"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
FOLDER = Path(__file__).parent
COUNT = 829


@dataclass(frozen=True)
class Case:
    id: str
    algorithm: str
    kind: str
    part: str  # verl, trl, openrlhf, torchrl, closed, or whose published code
    args: dict[str, Any]
    batch: str | None
    inputs: dict[str, Array]  # the batch's arrays and the case's own
    outputs: dict[str, Array]
    rtol: float
    atol: float
    dtype: str
    finite: bool
    raises: str | None
    note: str


@functools.cache
def all_cases() -> tuple[Case, ...]:
    """Every case. Absent or damaged numbers are an error, not a reason to skip: they belong to the repository."""
    listed = json.loads((FOLDER / "cases.json").read_text("utf-8"))
    with np.load(FOLDER / "vectors.npz") as stored:
        numbers = {name: stored[name] for name in stored.files}

    def arrays(references: dict[str, int]) -> dict[str, Array]:
        return {name: _array(numbers, *listed["arrays"][number]) for name, number in references.items()}

    cases = []
    for entry in listed["cases"]:
        batch = entry.get("batch")
        inputs = arrays(listed["batches"][batch] if batch else {}) | arrays(entry.get("inputs", {}))
        cases.append(
            Case(
                id=entry["id"],
                algorithm=entry["algorithm"],
                kind=entry["kind"],
                part=listed["sources"][entry["source"]]["part"],
                args=entry["args"],
                batch=batch,
                inputs=inputs,
                outputs=arrays(entry.get("outputs", {})),
                rtol=entry["rtol"],
                atol=entry["atol"],
                dtype=entry.get("dtype", "float64"),
                finite=entry.get("finite", True),
                raises=entry.get("raises"),
                note=entry.get("note", ""),
            )
        )
    assert len(cases) == COUNT
    return tuple(cases)


def _array(numbers: dict[str, Array], dtype: str, start: int, shape: list[int]) -> Array:
    return numbers[dtype][start : start + int(np.prod(shape))].reshape(shape)
