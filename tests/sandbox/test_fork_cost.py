"""What a pool says a fork would cost, beside what the fork then does."""

import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from aepo_env.errors import ForkNotSupported
from aepo_env.sandbox.pool import InterpreterPool, Session
from tests.fakes import FakeSandbox


def cells(pool: InterpreterPool, session: Session, *codes: str) -> Session:
    for code in codes:
        _, session = pool.run(session, code, 1.0)
    return session


@pytest.mark.parametrize("others", [(), ("x = 1",), ("TIMEOUT",)], ids=["room", "full", "full of the unrepeatable"])
@pytest.mark.parametrize("past", [(), ("x = 1",), ("TIMEOUT",), ("x = 1", "DIE"), ("x = 1", "TIMEOUT", "DIE")])
@pytest.mark.parametrize("is_live", [True, False])
@pytest.mark.parametrize("can_fork", [True, False])
def test_the_cost_of_a_fork_foretells_what_the_fork_does(
    can_fork: bool, is_live: bool, past: tuple[str, ...], others: tuple[str, ...]
) -> None:
    sandbox = FakeSandbox()
    pool = InterpreterPool(sandbox, limit=2)
    session = cells(pool, Session(1), *past)
    if not is_live:
        session = pickle.loads(pickle.dumps(session))
    sandbox.can_fork = can_fork
    if session.handle is not None:
        session.handle.interpreter.forkable = can_fork  # type: ignore[union-attr]
    held = [cells(pool, Session(2), *others) for _ in range(2 - (session.handle is not None)) if others]
    before = (pool.forked, pool.evicted, pool.live)
    cost = pool.fork_cost(session)
    assert (pool.forked, pool.evicted, pool.live) == before
    try:
        child = pool.fork(session, rng="same", seed=0)
    except ForkNotSupported:
        found = "impossible"
    else:
        is_rebuilt = child.handle is None or pool.evicted > before[1]
        found = "free" if not child.events else "costly" if is_rebuilt else "cheap"
    assert cost == found
    del held


def test_the_cost_of_a_fork_is_told_while_everything_is_busy() -> None:
    pool = InterpreterPool(FakeSandbox(sleep=0.5), limit=3)
    session, other = cells(pool, Session(1), "x = 5"), cells(pool, Session(2), "x = 6")
    with ThreadPoolExecutor(2) as threads:
        running = threads.submit(pool.run, session, "SLEEP", 5.0)
        while session.handle is not None and not session.handle.busy:
            time.sleep(0.001)
        with pool._changed:  # whoever holds the lock, nobody waits for it
            asked = threads.submit(lambda: [pool.fork_cost(one) for one in (session, other)])
            assert asked.result(timeout=5) == ["costly", "cheap"]
        running.result(timeout=5)


def test_an_interpreter_that_has_moved_on_or_is_anothers_makes_no_fork_cheap() -> None:
    pool = InterpreterPool(FakeSandbox())
    old = cells(pool, Session(1), "x = 5")
    new = cells(pool, old, "x = 6")
    assert (pool.fork_cost(old), pool.fork_cost(new)) == ("costly", "cheap")
    assert new.handle is not None
    new.handle.process += 1
    assert pool.fork_cost(new) == "costly"
    new.handle.process -= 1
