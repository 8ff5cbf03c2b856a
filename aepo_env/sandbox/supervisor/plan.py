"""BoxLimits and BoxPlan: what a box is allowed, and what it is made of. Plain values that cross to the host as JSON."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class BoxLimits:
    """What one box and each of its branches may use.

    branches: live interpreters at once; the worst case of a box is branches x (memory_mb + files_mb). A new one is also
    refused while the machine has less than memory_mb available.
    memory_mb: address space of each branch. cpu_seconds: processor time along a path of forks, whole life.
    cell_seconds: ceiling for the seconds of one cell. threads: of each branch, itself included.
    files_mb, files: size and number of files in a branch's own directory. open_files: descriptors of a branch.
    output_characters: kept of a cell's output (the rest is counted). flood_mb: a cell that writes more is killed.
    code_characters: the longest cell.
    """

    branches: int = 256
    memory_mb: int = 1024
    cpu_seconds: int = 600
    cell_seconds: float = 120.0
    threads: int = 16
    files_mb: int = 16
    files: int = 4096
    open_files: int = 128
    output_characters: int = 20_000
    flood_mb: int = 64
    code_characters: int = 1_000_000

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value <= 0:
                raise ValueError(f"BoxLimits.{name} must be positive, got {value!r}")
        if not 16 <= self.open_files <= 1024:
            raise ValueError(f"BoxLimits.open_files must be 16 to 1024, got {self.open_files}")


@dataclass(frozen=True)
class BoxPlan:
    """What a box is made of on this machine (see aepo_env/sandbox/machine.py, which draws it up).

    bubblewrap: path of bwrap. python: the interpreter, as named inside the box. library_path: where its shared
    libraries are inside the box, or empty. binds: (path outside, path inside), read-only. hidden: paths inside that are
    covered by an empty folder. packages: imported in the template before anything else runs.
    """

    bubblewrap: str
    python: str
    library_path: str
    binds: tuple[tuple[str, str], ...]
    hidden: tuple[str, ...]
    packages: tuple[str, ...]
    limits: BoxLimits

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "BoxPlan":
        fields = json.loads(text)
        fields["binds"] = tuple((outside, inside) for outside, inside in fields["binds"])
        fields["hidden"] = tuple(fields["hidden"])
        fields["packages"] = tuple(fields["packages"])
        fields["limits"] = BoxLimits(**fields["limits"])
        return cls(**fields)
