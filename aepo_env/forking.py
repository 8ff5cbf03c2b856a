"""Fork, snapshot and restore for whole stacks of Gymnasium wrappers.

    children = aepo_env.fork(env, 4)
    moment = aepo_env.snapshot(env)
    aepo_env.restore(env, moment)

`env.unwrapped.fork()` copies the environment alone; these take the wrappers' state along (a `TimeLimit`'s counter). A
wrapper takes part if Gymnasium ships it and its state is known to be plain data (below), if it keeps no state at all,
or if it says so itself by a method `fork_state() -> dict` that gives the attributes a copy starts with. Any other is
refused: dropping its state in silence would be worse.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import wrappers

from aepo_env.env import RandomStreams, Snapshot, ToolEnv
from aepo_env.errors import ForkNotSupported

_PLAIN_STATE = (
    wrappers.OrderEnforcing,
    wrappers.PassiveEnvChecker,
    wrappers.RecordEpisodeStatistics,
    wrappers.TimeLimit,
    wrappers.TransformAction,
    wrappers.TransformObservation,
    wrappers.TransformReward,
    wrappers.Autoreset,
)
"""Gymnasium's wrappers whose attributes are counters, flags, arrays and functions: safe to copy deeply."""

_SPACES = ("_action_space", "_observation_space")

_BASE_ATTRIBUTES = frozenset(
    {"env", "_saved_kwargs", *_SPACES, "_metadata", "_cached_spec", "_ezpickle_args", "_ezpickle_kwargs"}
)
"""What Gymnasium's `Wrapper` and `EzPickle` themselves keep: no state of an episode."""

AnyEnv = gymnasium.Env[Any, Any]
AnyWrapper = gymnasium.Wrapper[Any, Any, Any, Any]


class StackSnapshot(NamedTuple):
    """A moment of a wrapper stack.

    wrappers: their names, outermost first. wrapper_states: one for each. inner: the environment's own moment.
    """

    wrappers: tuple[str, ...]
    wrapper_states: tuple[Mapping[str, Any], ...]
    inner: Snapshot

    def release(self) -> None:
        """Give back what the snapshot holds. Idempotent."""
        self.inner.release()


def fork(env: AnyEnv, n: int = 1, *, rng: RandomStreams = "split") -> list[AnyEnv]:
    """`n` independent copies of `env` with all its wrappers, standing at the same step. See `ToolEnv.fork`.

    Raises:
        ForkNotSupported: a wrapper of unknown state, or a tool that cannot be forked, is in the stack.
    """
    stack, inner = _open(env)
    if not isinstance(n, int | np.integer) or n < 0:
        raise ValueError(f"n must be a whole number of children; got {n!r}.")
    # Copied before anything is forked: a state that cannot be copied must leave no child behind.
    states = [[copy.deepcopy(dict(_state(wrapper))) for wrapper in stack] for _ in range(n)]
    children: list[AnyEnv] = []
    for bare, own_states in zip(inner.fork(n, rng=rng), states, strict=True):
        child: AnyEnv = bare
        for wrapper, state in zip(reversed(stack), reversed(own_states), strict=True):
            # Not copy.copy: a wrapper that inherits EzPickle would restart its episode.
            twin = object.__new__(type(wrapper))
            twin.__dict__.update({name: value for name, value in vars(wrapper).items() if name in _BASE_ATTRIBUTES})
            for name in _SPACES:  # each has a generator of its own
                twin.__dict__[name] = copy.deepcopy(getattr(wrapper, name))
            twin.__dict__.update(state)
            twin.env = child
            child = twin
        children.append(child)
    return children


def snapshot(env: AnyEnv) -> StackSnapshot:
    """The present moment of `env` and its wrappers. Pickles if the wrappers' states do."""
    stack, inner = _open(env)
    states = tuple(copy.deepcopy(_state(wrapper)) for wrapper in stack)
    return StackSnapshot(_names(stack), states, inner.snapshot())


def restore(env: AnyEnv, moment: StackSnapshot) -> None:
    """Continue `env` from a snapshot of this stack, or of one made alike; as often as wanted."""
    if not isinstance(moment, StackSnapshot):
        raise TypeError(
            f"A snapshot of aepo_env.snapshot is needed; got {type(moment).__name__}. For one of an environment's own, "
            "call env.unwrapped.restore."
        )
    stack, inner = _open(env)
    if _names(stack) != moment.wrappers:
        raise ValueError(
            f"The snapshot is of the wrappers {moment.wrappers}, this environment has {_names(stack)}: "
            "restore it in a stack made alike."
        )
    inner.restore(moment.inner)
    for wrapper, state in zip(stack, moment.wrapper_states, strict=True):
        wrapper.__dict__.update(copy.deepcopy(dict(state)))


def _open(env: AnyEnv) -> tuple[list[AnyWrapper], ToolEnv]:
    """The wrappers, outermost first, and the environment inside."""
    stack = []
    while isinstance(env, gymnasium.Wrapper):
        stack.append(env)
        env = env.env
    if not isinstance(env, ToolEnv):
        raise ForkNotSupported(f"{type(env).__name__} is not an environment of aepo_env: only those can be forked.")
    return stack, env


def _names(stack: Sequence[AnyWrapper]) -> tuple[str, ...]:
    return tuple(type(wrapper).__qualname__ for wrapper in stack)


def _state(wrapper: AnyWrapper) -> Mapping[str, Any]:
    """The attributes a copy of `wrapper` must start with, not yet copied."""
    if hasattr(wrapper, "fork_state"):
        state = wrapper.fork_state()
        if not isinstance(state, Mapping):
            raise TypeError(f"{type(wrapper).__name__}.fork_state() must give a dict; it gave {type(state).__name__}.")
        if "env" in state:
            raise TypeError(f"{type(wrapper).__name__}.fork_state() must leave out 'env': the copy is given its own.")
        return state
    own = {name: value for name, value in vars(wrapper).items() if name not in _BASE_ATTRIBUTES}
    if own and type(wrapper) not in _PLAIN_STATE:
        names = ", ".join(sorted(own))
        raise ForkNotSupported(
            f"The wrapper {type(wrapper).__name__} keeps state ({names}) and nobody said how to copy it: "
            "give it a method fork_state() that returns the attributes a copy starts with."
        )
    return own
