"""Tree-GRPO's rollout: a few chains from the prompt, then finished chains are grown anew from steps drawn at random.

grow(..., strategy=RandomExpansion(budget=16, trees=4, rounds=1))

1. `trees` trajectories start at the prompt; each is the first chain of a search tree.
2. In each round, every tree draws some of its steps, the prompt included, uniformly and with replacement, and a new
   trajectory grows from each to its end. Together the rounds use up the budget.

Source: Tree-GRPO, arXiv:2509.21240, whose scripts have 2 trees, 1 round and 2 expansions a tree: a budget of 6.
Nothing is measured on the way: forks do not look at entropy.

Choices, stated: expansions a tree and round follow from the budget, the first trees getting what is left over. All
leaves are kept (the published code can draw some of each tree). What a tree that lost its chain to a fault would have
grown starts at the prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from algorithms.rollout.branching import EntropyScale
from algorithms.rollout.paths import Moment, Path, Question, Roots
from algorithms.rollout.records import ForkRecord


@dataclass(frozen=True)
class RandomExpansion:
    """Tree-GRPO.

    Attributes:
        budget: trajectories of a question in all.
        trees: first chains; None: a quarter of the budget. rounds: of expansions.
        look_ahead: tokens whose entropy is reported; nothing depends on it. scale: likewise.
    """

    budget: int = 16
    trees: int | None = None
    rounds: int = 1
    look_ahead: int = 20
    scale: EntropyScale = "standardised"
    keeps_moments = True

    def __post_init__(self) -> None:
        fits = self.trees is None or 1 <= self.trees <= self.budget
        if not fits or self.rounds < 1 or self.look_ahead < 1 or self.budget < 1:
            raise ValueError(
                f"Expected budget, rounds and look-ahead of at least 1 and 1 <= trees <= budget, got {self}."
            )

    def roots(self, question: Question) -> Roots:
        """See `Strategy.roots`."""
        if question.waves == 0:
            question.report.roots = self.trees if self.trees is not None else max(1, self.budget // 4)
            return Roots(question.report.roots, may_fork=False)
        grown = [self._tree(question, path.number) for path in question.done if path.trunk == path.number]
        grown.sort(key=lambda paths: paths[0].number)
        if question.waves > self.rounds or not grown or question.left <= 0:
            return Roots(question.left, may_fork=False)
        share, over = divmod(question.left, len(grown) * (self.rounds - question.waves + 1))
        places: list[tuple[Path, Moment]] = []
        for number, paths in enumerate(grown):
            places += self._drawn(question, paths, share + (number < over))
        if not places:
            return Roots(question.left, may_fork=False)
        return Roots(len(places), may_fork=False, anew=tuple(places))

    def forks(self, question: Question, waiting: Sequence[Path]) -> list[ForkRecord]:
        """Never asked: paths are grown anew when all have ended."""
        raise RuntimeError(f"Paths of a random expansion never fork; asked to at {question.name}.")

    @staticmethod
    def _tree(question: Question, trunk: int) -> list[Path]:
        """A tree's finished paths, by number."""
        return sorted((path for path in question.done if path.trunk == trunk), key=lambda path: path.number)

    @staticmethod
    def _drawn(question: Question, paths: Sequence[Path], count: int) -> list[tuple[Path, Moment]]:
        """Steps of a tree to grow anew from, uniformly and with replacement."""
        prompt = Moment(question.tree.root, 0, 0, False)
        places = [(paths[0], prompt), *((path, moment) for path in paths for moment in path.moments)]
        return [places[int(question.random.integers(len(places)))] for _ in range(count)]
