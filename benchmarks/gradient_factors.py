"""Gradient factors: what each algorithm's loss makes of a token whose probability moved, read off its own code.

    python -m benchmarks.gradient_factors                    # all, into docs/pictures
    python -m benchmarks.gradient_factors aepo gppo          # these alone; the others' files stay as they are
    python -m benchmarks.gradient_factors --folder /tmp/new  # somewhere else

writes gradient_NAME.svg for each, and gradient_factors.json with the numbers of all.

The factor is d(objective) / d(log-probability) of a token in units of its trajectory's advantage A, here 1 and -1, by
automatic differentiation of the loss the algorithm is made with, as a function of the ratio of the token's probability
to that before the update. Trajectories of one token: a ratio per trajectory (GSPO, RLOO) is that token's own.

Where a loss or an advantage tells tokens apart, each kind has a line: tokens it chose (Clip-Cov, KL-Cov), uncertain and
sure ones (AEPO, EMPG: by their own advantage, on a batch in which half of the tokens are of each kind). Curves are
kept by their corners, to a thousandth: in the JSON file, and in the pictures, which name its digest.

Left out: the divergence from a reference, which is a term of its own, and aggregation, which scales whole trajectories.
Drawing needs matplotlib (extra `dev`), computing does not.
"""

import argparse
import hashlib
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aepo_env.files import write_whole
from aepo_env.text import did_you_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures"
TABLE = "gradient_factors.json"
LOWEST, HIGHEST, STEP = 0.3, 2.2, 0.001  # ratios; in between, so that none lies on a bound
DIGITS = 4  # of what is kept
TOLERANCE = 1e-3  # of factors, where a curve is drawn as straight lines

Corner = tuple[float, float]
Curves = dict[str, list[Corner]]
"""Of each kind of token, the corners (ratio, factor) of its curve."""

COLOURS = {"token": "#1f5fa8", "uncertain": "#c2410c", "sure": "#0f766e", "chosen": "#c2410c"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser("python -m benchmarks.gradient_factors", description="Draw gradient factors.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="algorithms (default: all)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where files go (default: docs/pictures)")
    options = parser.parse_args(arguments)
    try:
        _write(options.names, options.folder)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _write(names: Sequence[str], folder: Path) -> None:
    from algorithms.names import NAMES

    for name in names:
        if name not in NAMES:
            raise ValueError(f"Unknown algorithm {name!r}: choose from {', '.join(NAMES)}{did_you_mean(name, NAMES)}")
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}: make it first.")
    file = folder / TABLE
    known = json.loads(file.read_text("utf-8")) if file.exists() else {}
    found = {name: factors(name) for name in names or NAMES}
    known = {name: found.get(name, known.get(name)) for name in NAMES if name in found or name in known}
    usual = factors("grpo")
    for name, curves in found.items():
        write_whole(folder / picture(name), drawn(name, curves, usual))
        print(folder / picture(name))
    write_whole(file, _as_json(known))
    print(file)


def picture(name: str) -> str:
    """File name of an algorithm's picture."""
    return f"gradient_{stem(name)}.svg"


def stem(name: str) -> str:
    """An algorithm's name as its file and its page have it: "reinforce++-baseline" is reinforce_plus_plus_baseline."""
    return name.replace("++", "_plus_plus").replace("-", "_")


def factors(name: str) -> Curves:
    """All curves of an algorithm, rising tokens (A = 1) first, then falling ones (A = -1)."""
    import torch

    from algorithms.training.known import algorithm

    made = algorithm(name)
    ratios = torch.arange(LOWEST + STEP / 2, HIGHEST, STEP, dtype=torch.float64)
    curves = {}
    for label, sign in (("A > 0", 1.0), ("A < 0", -1.0)):
        for kind, weight, chosen in _kinds(made, sign):
            curves[f"{label}, {kind}"] = _corners(ratios, _factor(made, ratios, weight, chosen) / sign)
    return curves


def _factor(made: Any, ratios: "Tensor", weight: float, chosen: bool) -> "Tensor":
    """d(objective) / d(log-probability) of one-token trajectories with these ratios and this advantage, [ratios]."""
    import torch

    logp = ratios.log().unsqueeze(-1).requires_grad_()
    advantage, mask = torch.full_like(logp, weight).detach(), torch.ones_like(logp, dtype=torch.bool)
    given = (torch.full_like(mask, chosen),) if hasattr(made.loss, "choose") else ()
    made.loss(logp, torch.zeros_like(advantage), advantage, mask, *given).loss.sum().backward()
    assert logp.grad is not None
    return -logp.grad.squeeze(-1)


def _kinds(made: Any, sign: float) -> list[tuple[str, float, bool]]:
    """What its tokens are told apart by: kind, advantage of a token whose trajectory has `sign`, whether chosen."""
    if hasattr(made.loss, "choose"):
        return [("others", sign, False), ("chosen", sign, True)]
    if "entropies" in made.needs:
        sure, uncertain = _by_entropy(made, sign)
        return [("uncertain", uncertain, False), ("sure", sure, False)]
    return [("token", sign, False)]


def _by_entropy(made: Any, sign: float) -> tuple[float, float]:
    """Advantages of a sure and an uncertain token, by the algorithm's own estimator, whose trajectory has `sign`.

    Two trajectories, a good and a bad one, each of 50 sure and 50 uncertain steps of one token, two of a kind in turn;
    told are four in the middle, of either kind one before its like and one before the other.
    """
    import torch

    from algorithms.algorithm import LeafBatch
    from algorithms.tree import Kind, Step, TokenTree

    steps = 100
    tree = TokenTree("two", prompt=[0])
    for reward in (1.0, -1.0):
        node = tree.root
        for number in range(steps):
            node = tree.add(node, Kind.POLICY, [1], [-1.0], [float(number // 2 % 2)])
        turns = [Step(1 + number, 2 + number, f"{number}") for number in range(steps)]
        tree.add_leaf(node, "answered", {"total": reward}, turns)
    numbers = (tree.policy_log_probs(), tree.policy_entropies())
    batch = LeafBatch.of([tree], [_Scores(*map(torch.tensor, numbers))])
    share = (made.advantage(batch) / made.advantage.of(batch))[0 if sign > 0 else 1, 1:]
    middle = sign * share[steps // 2 : steps // 2 + 4]
    assert batch.entropies is not None
    is_sure = batch.entropies[0, 1:][steps // 2 : steps // 2 + 4] == 0
    return float(middle[is_sure].mean()), float(middle[~is_sure].mean())


class _Scores:
    """See `algorithms.batch.TokenScores`."""

    def __init__(self, log_probs: "Tensor", entropies: "Tensor") -> None:
        self.log_probs, self.entropies = log_probs, entropies


def _corners(ratios: "Tensor", values: "Tensor") -> list[Corner]:
    """The points between which straight lines follow a curve to within `TOLERANCE` (Ramer, Douglas and Peucker)."""
    kept, waiting = {0, len(ratios) - 1}, [(0, len(ratios) - 1)]
    while waiting:
        first, last = waiting.pop()
        slope = (values[last] - values[first]) / (ratios[last] - ratios[first])
        chord = values[first] + slope * (ratios[first : last + 1] - ratios[first])
        gap, place = (values[first : last + 1] - chord).abs().max(dim=0)
        if float(gap) > TOLERANCE:
            corner = first + int(place)
            kept.add(corner)
            waiting += [(first, corner), (corner, last)]
    return [(round(float(ratios[place]), DIGITS), round(float(values[place]), DIGITS)) for place in sorted(kept)]


def digest(curves: Mapping[str, Sequence[Sequence[float]]]) -> str:
    """Of what a picture shows, so that it can be told from an old one."""
    plain = json.dumps({kind: [list(corner) for corner in curve] for kind, curve in curves.items()})
    return hashlib.sha256(plain.encode()).hexdigest()[:16]


def _as_json(found: Mapping[str, Curves]) -> str:
    """A line per curve."""
    lines = []
    for name, curves in found.items():
        inside = ",\n".join(f"    {json.dumps(kind)}: {json.dumps(curve)}" for kind, curve in curves.items())
        lines.append(f"  {json.dumps(name)}: {{\n{inside}\n  }}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def drawn(name: str, curves: Curves, usual: Curves) -> str:
    """The picture as SVG: rising tokens left, falling ones right, GRPO's curve behind the algorithm's own."""
    import matplotlib
    from matplotlib.figure import Figure

    # Text stays text; what matplotlib would draw by chance or by the clock is fixed.
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 9, "font.family": "sans-serif"}
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(7.2, 2.7), facecolor="white", layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, sign in ((left, "A > 0"), (right, "A < 0")):
            mine = {kind.partition(", ")[2]: curve for kind, curve in curves.items() if kind.startswith(sign)}
            _panel(axes, name, mine, None if name == "grpo" else usual[f"{sign}, token"])
            axes.set_title(sign, loc="left", fontsize=9)
        left.set_ylabel("gradient factor")
        out = io.StringIO()
        metadata = {"Date": None, "Creator": "benchmarks/gradient_factors.py", "Description": digest(curves)}
        figure.savefig(out, format="svg", metadata=metadata)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _panel(axes: "Axes", name: str, curves: Mapping[str, list[Corner]], usual: list[Corner] | None) -> None:
    axes.set_facecolor("white")
    axes.axhline(0, color="#d4d4d4", linewidth=0.8)
    if usual is not None:
        axes.plot(*zip(*usual, strict=True), color="#9ca3af", linewidth=3, label="grpo")
    for kind, curve in curves.items():
        label, colour = (
            (name if kind in ("token", "others") else f"{name}, {kind}"),
            COLOURS.get(kind, COLOURS["token"]),
        )
        axes.plot(*zip(*curve, strict=True), color=colour, linewidth=1.4, label=label)
    axes.set_xlabel("probability now / before the update")
    axes.set_xlim(LOWEST, HIGHEST)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=8)


if __name__ == "__main__":
    sys.exit(main())
