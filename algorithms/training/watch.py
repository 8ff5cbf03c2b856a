"""Watch: warnings in words about what usually stays unnoticed, once per kind.

    watch = Watch(tools=["search", "python"], parts=["branching", "premonitor"])
    for warning in watch.look(metrics):            # after every step
        print(warning)

Left out: what must stop a run (`audits`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from algorithms.report.summary import totals
from algorithms.rollout.faults import failed, in_words

PATIENCE = 10
"""Steps before something that never happened is worth a word, and over which shares are taken."""
MOST_DEAD = 0.9
MOST_FAILED, FEWEST_CALLS = 0.5, 8
"""Share of a tool's calls whose failing is worth a word, in a step or the last `PATIENCE`, of so many calls or more."""
LEAST_ENTROPY = 0.1
"""Of the entropy of the first steps; below it the policy hardly explores."""


class Watch:
    """Looks at the metrics of each step.

    Args:
        tools: names of the environment's tools.
        parts: what the algorithm should be seen to do, out of "branching", "premonitor", "balanced", "entropy_weight",
            "steps".
    """

    def __init__(self, tools: Sequence[str], parts: Sequence[str]) -> None:
        self._tools, self._parts = tuple(tools), frozenset(parts)
        self._history: list[Mapping[str, Any]] = []
        self._said: set[str] = set()

    def look(self, metrics: Mapping[str, Any]) -> list[str]:
        """Warnings that this step gave rise to."""
        self._history.append(metrics)
        new: dict[str, str] = {}
        for kind, words in self._found():
            if kind not in self._said:
                new.setdefault(kind, words)
        self._said.update(new)
        return list(new.values())

    def _found(self) -> Iterator[tuple[str, str]]:
        yield from self._failing()
        yield from self._broken()
        if dropped := self._history[-1]["rollout"]["dropped"]:
            why = in_words(self._history[-1]["rollout"].get("faults", {}))
            yield (
                "dropped",
                f"{dropped} trajectories were lost to faults of tools or judges, twice each, and left out"
                f"{f': {why}' if why else ''}.",
            )
        now = self._history[-1]
        if now["questions"] < now.get("wanted_questions", 0) and now.get("rounds", 1) > 1:
            yield (
                "missing",
                f"After {now['rounds']} rounds of growing, {now['questions']} of {now['wanted_questions']} questions "
                "had trajectories that differ in reward, and were trained on: take easier or harder questions, or a "
                "larger budget.",
            )
        if len(self._history) < PATIENCE:
            return
        yield from self._dead()
        yield from self._standing_still()
        yield from self._collapsed()
        yield from self._uncalled()
        yield from self._idle_parts()

    def _failing(self) -> Iterator[tuple[str, str]]:
        """Tools that fail rather than not."""
        for rollouts, when in self._windows():
            called, failing = totals(one["tool_calls"] for one in rollouts), totals(map(failed, rollouts))
            for tool, count in failing.items():
                calls = called.get(tool, 0)
                if calls >= FEWEST_CALLS and count > MOST_FAILED * calls:
                    said = next(one["faults"][tool]["words"] for one in rollouts if tool in one.get("faults", {}))
                    yield (
                        f"failing {tool}",
                        f"{count} of {calls} calls of the tool {tool!r} failed {when} ({said}). Trajectories that it "
                        "fails are left out, so that what is trained on are those that do without it: mend the tool.",
                    )

    def _broken(self) -> Iterator[tuple[str, str]]:
        """Interpreters that end, or that the clock stops, at most calls."""
        for steps, when in self._windows(lambda one: one):
            cells = totals(one.get("interpreters", {}) for one in steps)
            ended, stopped = cells.get("ended", 0), cells.get("stopped", 0)
            calls = sum(one["rollout"]["tool_calls"].get("python", 0) for one in steps)
            if calls >= FEWEST_CALLS and ended + stopped > MOST_FAILED * calls:
                yield (
                    "broken interpreters",
                    f"Of {calls} calls of the tool 'python' {when}, {ended} ended the interpreter and {stopped} were "
                    "stopped by the clock: look into traces/ whether the code or the machine does that.",
                )

    def _windows(
        self, of: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda one: one["rollout"]
    ) -> list[tuple[list[Mapping[str, Any]], str]]:
        """The last step, and the last few, with what they are called."""
        recent = [of(one) for one in self._history[-PATIENCE:]]
        return [
            (recent[-1:], "in this step"),
            (recent, f"in the last {len(recent)} steps" if len(recent) > 1 else "in this step"),
        ]

    def _dead(self) -> Iterator[tuple[str, str]]:
        recent = self._history[-PATIENCE:]
        share = sum(one["dead_questions"] for one in recent) / sum(one["questions"] for one in recent)
        if share > MOST_DEAD:
            yield (
                "dead",
                f"{share:.0%} of the questions of the last {PATIENCE} steps gave all their trajectories the same "
                "reward and taught nothing: take easier or harder questions, or a larger budget.",
            )

    def _standing_still(self) -> Iterator[tuple[str, str]]:
        recent = self._history[-PATIENCE:]
        masked, leaves = (sum(one.get(name, 0) for one in recent) for name in ("masked_leaves", "leaves"))
        if masked > MOST_DEAD * leaves:
            yield (
                "masked",
                f"{masked} of {leaves} trajectories of the last {PATIENCE} steps were masked as too long and taught "
                "nothing: raise turn_tokens and total_tokens, or say mask_too_long=no.",
            )
        if not any(one["update"].get("optimiser_steps", 1) for one in recent):
            yield ("no steps", f"No optimiser step was made in the last {PATIENCE} steps: nothing was learned.")

    def _collapsed(self) -> Iterator[tuple[str, str]]:
        first = sum(one["entropy"] for one in self._history[:5]) / 5
        now = self._history[-1]["entropy"]
        if now < LEAST_ENTROPY * first:
            yield (
                "entropy",
                f"The policy's entropy fell from {first:.2g} to {now:.2g} nats a token: it hardly explores any more. "
                "Lower the learning rate, or raise the upper clip bound.",
            )

    def _uncalled(self) -> Iterator[tuple[str, str]]:
        called = {name for one in self._history for name, count in one["rollout"]["tool_calls"].items() if count}
        for tool in self._tools:
            if tool not in called:
                yield (
                    f"tool {tool}",
                    f"The tool {tool!r} was never called in {len(self._history)} steps: the policy may not know how, "
                    "or no question needs it.",
                )

    def _idle_parts(self) -> Iterator[tuple[str, str]]:
        steps = f"in {len(self._history)} steps"
        rollouts = [one["rollout"] for one in self._history]
        idle = {
            "branching": (
                not any(one["forks"] for one in rollouts),
                f"No trajectory forked {steps}: the algorithm's branching never acted.",
            ),
            "premonitor": (
                len({roots for one in rollouts for roots, _ in one["roots"]}) < 2,
                f"Pre-monitoring chose the same number of roots for every question {steps}: it never acted. Look at "
                "rollout.sensitivity and rollout.scale.",
            ),
            "balanced": (
                not any(one["update"]["kept_gradient"] for one in self._history),
                f"The balanced clip gave back no gradient {steps}: no rising token left the clip range. Take more "
                "updates a batch, or a higher learning rate.",
            ),
            "entropy_weight": (
                not any(one["entropy_deviation"] for one in self._history),
                f"All tokens had the same entropy {steps}: weighting by entropy never acted.",
            ),
        }
        if "steps" in self._parts and not any(one["steps"]["grouped"] for one in self._history):
            yield (
                "steps",
                f"No two steps of a question were taken from the same state {steps}: comparing steps never acted.",
            )
        yield from ((part, words) for part, (is_idle, words) in idle.items() if is_idle and part in self._parts)
