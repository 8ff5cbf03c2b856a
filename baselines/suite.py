"""Who is compared where the line names nobody: AEPO against seven others, and AEPO without each of its parts.

    SUITE                       # names, as `algorithms.run` takes them; settings are the algorithms' own published ones
    ABLATIONS["aepo"]           # what is switched off, by what it is called: settings as `--set` takes them

The seven are those AEPO's paper likely compares with: its list could not be read and is not confirmed. The code of each
is one page in `algorithms/` (README.md beside this file has a table).

Left out: agents that do not train (`baselines.agents`).
"""

from algorithms.names import SEVEN

SUITE = ("aepo", *SEVEN)

_PARTS = {
    "pre-monitoring": {"rollout.premonitor": "no"},
    "branch-penalty": {"rollout.rule.penalty": "0"},
    "balanced-clip": {"loss.balanced": "no"},
    "entropy-advantage": {"advantage.weight": "0"},
}

ABLATIONS: dict[str, dict[str, dict[str, str]]] = {
    "aepo": {
        **{f"aepo-without-{name}": settings for name, settings in _PARTS.items()},
        # Half of the budget then starts at the prompt and forks by entropy: ARPO.
        "aepo-without-all": {name: value for settings in _PARTS.values() for name, value in settings.items()},
    }
}
"""For `--ablate`: the whole algorithm's name, then what it is called without a part, and what makes it so."""
