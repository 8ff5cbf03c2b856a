import contextlib
import gc
import os
import pickle
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from aepo_env.errors import ForkNotSupported
from aepo_env.sandbox import UnboxedUnsafe
from aepo_env.sandbox.interpreter import CellResult, SandboxUnavailable
from aepo_env.sandbox.pool import InterpreterPool, ReplayFailed, Reseed, Session
from tests.fakes import FakeSandbox


@pytest.fixture
def sandbox() -> Iterator[FakeSandbox]:
    sandbox = FakeSandbox()
    yield sandbox
    gc.collect()
    assert sandbox.live == 0, "an interpreter was leaked"


def output(pool: InterpreterPool, session: Session, code: str) -> tuple[str, Session]:
    result, session = pool.run(session, code, 1.0)
    return result.output.strip(), session


def cells(pool: InterpreterPool, session: Session, *codes: str) -> Session:
    for code in codes:
        _, session = pool.run(session, code, 1.0)
    return session


# ------------------------------------------------------------------------------------------------------------ living


def test_nothing_starts_before_the_first_cell(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox)
    Session(1)
    assert (pool.live, sandbox.started) == (0, 0)


def test_variables_stay_from_cell_to_cell_in_one_interpreter(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox)
    session = cells(pool, Session(1), "x = 1", "x += 1", "x += 1")
    assert output(pool, session, "x")[0] == "3"
    assert (sandbox.started, pool.rebuilt) == (1, 0)


def test_equal_seeds_draw_equal_numbers(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox)
    first, second, other = (output(pool, Session(seed), "rng.random()")[0] for seed in (7, 7, 8))
    assert first == second != other


def test_a_dropped_session_closes_its_interpreter(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox)
    session = cells(pool, Session(1), "x = 1")
    assert (pool.live, sandbox.live) == (1, 1)
    del session
    gc.collect()
    assert (pool.live, sandbox.live) == (0, 0)


def test_many_forks_and_drops_leak_nothing(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox, limit=8)
    session = cells(pool, Session(1), "x = 1")
    for number in range(500):
        child = pool.fork(session, rng="split", seed=number)
        assert child.handle is not None
        del child
    gc.collect()
    assert (pool.live, sandbox.live) == (1, 1)
    assert (pool.forked, pool.refused, pool.evicted) == (500, 0, 0)


def test_closing_a_handle_twice_is_harmless(sandbox: FakeSandbox) -> None:
    session = cells(InterpreterPool(sandbox), Session(1), "x = 1")
    assert session.handle is not None
    session.handle.close()
    session.handle.close()
    assert sandbox.live == 0


def test_a_dead_interpreter_begins_anew(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox)
    session = cells(pool, Session(1), "x = 1")
    result, session = pool.run(session, "DIE", 1.0)
    assert (result.status, session.events, pool.live) == ("dead", (), 0)
    assert "NameError" in pool.run(session, "x", 1.0)[0].error


def test_a_dead_branch_keeps_random_streams_of_its_own(sandbox: FakeSandbox) -> None:
    """Else all split children of one parent would draw the same numbers once their interpreters died."""
    pool = InterpreterPool(sandbox)
    parent = cells(pool, Session(1), "x = 1")
    children = [cells(pool, pool.fork(parent, rng="split", seed=seed), "DIE") for seed in (11, 12)]
    assert len({output(pool, child, "rng.random()")[0] for child in children}) == 2


# ----------------------------------------------------------------------------------------------------------- forking


@pytest.mark.parametrize("limit", [64, 1], ids=["forked", "rebuilt"])
def test_a_fork_and_its_parent_go_their_own_ways(sandbox: FakeSandbox, limit: int) -> None:
    pool = InterpreterPool(sandbox, limit=limit)
    parent = cells(pool, Session(1), "x = [1]")
    child = pool.fork(parent, rng="same", seed=0)
    child = cells(pool, child, "x.append('child')")
    parent = cells(pool, parent, "x.append('parent')")
    assert output(pool, child, "x")[0] == "[1, 'child']"
    assert output(pool, parent, "x")[0] == "[1, 'parent']"


@pytest.mark.parametrize("limit", [64, 1], ids=["forked", "rebuilt"])
def test_streams_of_a_fork_are_the_same_or_split_as_asked(sandbox: FakeSandbox, limit: int) -> None:
    pool = InterpreterPool(sandbox, limit=limit)
    parent = cells(pool, Session(1), "rng.random()")
    same, split, other = (
        pool.fork(parent, rng="same", seed=0),
        pool.fork(parent, rng="split", seed=5),
        pool.fork(parent, rng="split", seed=6),
    )
    drawn = [output(pool, session, "rng.random()")[0] for session in (parent, same, split, other)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3


def test_a_fork_before_the_first_cell_starts_nothing_but_splits_the_seed(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox)
    assert pool.fork(Session(1), rng="same", seed=9) == Session(1)
    assert pool.fork(Session(1), rng="split", seed=9) == Session(9)
    assert sandbox.started == 0


def test_a_refused_fork_is_rebuilt_by_replay(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox)
    parent = cells(pool, Session(1), "x = 5", "THREAD")
    child = pool.fork(parent, rng="same", seed=0)
    assert (child.handle, pool.refused, pool.forked) == (None, 1, 0)
    assert output(pool, child, "x")[0] == "5"
    assert pool.rebuilt == 1
    assert output(pool, parent, "x")[0] == "5"
    assert pool.started == 2, "the parent goes on in its own interpreter"


def test_split_streams_of_interpreters_that_never_fork_are_rebuilt_equal() -> None:
    """Only a fork gives streams of its own elsewhere; here the rebuilt interpreter starts them anew itself."""
    unboxed = UnboxedUnsafe()
    pool = InterpreterPool(unboxed)
    with contextlib.closing(unboxed):
        parent = cells(pool, Session(1), "import random; kept = random.random()")
        first, second, again = (pool.fork(parent, rng="split", seed=seed) for seed in (5, 6, 5))
        drawn = [output(pool, session, "kept, random.random()")[0] for session in (first, second, again, parent)]
    assert drawn[0] == drawn[2]
    assert len(set(drawn)) == 3
    assert len({text.split(",")[0] for text in drawn}) == 1, "the same past"
    assert drawn[0].split()[1] == f"{random.Random(5).random()})"


def test_a_refused_fork_that_cannot_be_rebuilt_either_is_an_error(sandbox: FakeSandbox) -> None:
    """A child that could never run a cell would only waste the tokens spent on it."""
    pool = InterpreterPool(sandbox)
    parent = cells(pool, Session(1), "x = 5", "THREAD", "TIMEOUT")
    with pytest.raises(ForkNotSupported, match="python session"):
        pool.fork(parent, rng="split", seed=0)
    assert output(pool, parent, "x")[0] == "5", "the parent is as it was"


# ----------------------------------------------------------------------------------------- the limit and the rebuild


def test_the_least_recently_used_interpreter_makes_room(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox, limit=2)
    first = cells(pool, Session(1), "x = 1")
    second = cells(pool, Session(2), "x = 2")
    first = cells(pool, first, "x += 10")
    third = cells(pool, Session(3), "x = 3")
    assert [session.handle.interpreter is not None for session in (first, second, third) if session.handle] == [
        True,
        False,
        True,
    ]
    assert (pool.live, pool.evicted) == (2, 1)
    assert output(pool, second, "x")[0] == "2"
    assert pool.rebuilt == 1


def test_a_rebuilt_interpreter_stands_where_the_old_one_stood(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox, limit=1)
    codes = ["x = [rng.random()]", "1 / 0", "x.append(rng.random())", "print(x)"]
    evicted = cells(pool, Session(1), *codes)
    kept = cells(InterpreterPool(sandbox), Session(1), *codes)
    cells(pool, Session(2), "y = 1")
    assert output(pool, evicted, "x, rng.random()")[0] == output(InterpreterPool(sandbox), kept, "x, rng.random()")[0]
    assert pool.rebuilt == 1


def test_split_streams_are_rebuilt_equal(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox)
    child = pool.fork(cells(pool, Session(1), "a = rng.random()"), rng="split", seed=77)
    child = cells(pool, child, "b = rng.random()")
    grandchild = cells(pool, pool.fork(child, rng="split", seed=78), "c = rng.random()")
    revived = pickle.loads(pickle.dumps(grandchild))
    question = "a, b, c, rng.random()"
    assert output(pool, revived, question)[0] == output(pool, grandchild, question)[0]
    assert [type(event) for event in revived.events].count(Reseed) == 2


def test_a_cell_that_prints_something_else_when_replayed_is_a_fault(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox)
    session = pickle.loads(pickle.dumps(cells(pool, Session(1), "x = 1", "CLOCK")))
    with pytest.raises(ReplayFailed, match="cell 2"):
        pool.run(session, "x", 1.0)
    assert (pool.live, sandbox.live) == (0, 0)


def test_addresses_in_the_output_do_not_count_as_a_difference(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox)
    session = pickle.loads(pickle.dumps(cells(pool, Session(1), "x = object()", "keep = [object()]; print(x, keep)")))
    assert output(pool, session, "len(keep)")[0] == "1"


def test_a_session_with_a_cell_stopped_by_the_clock_lives_on_but_is_never_rebuilt(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox)
    session = cells(pool, Session(1), "x = 1", "TIMEOUT")
    child = pool.fork(session, rng="split", seed=3)
    assert output(pool, session, "x")[0] == "1"
    assert output(pool, child, "x")[0] == "1"
    before = sandbox.started
    with pytest.raises(ReplayFailed, match="clock"):
        pool.run(pickle.loads(pickle.dumps(session)), "x", 1.0)
    assert sandbox.started == before


def test_sessions_that_cannot_be_rebuilt_are_evicted_last(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox, limit=2)
    precious = cells(pool, Session(1), "x = 1", "TIMEOUT")
    plain = cells(pool, Session(2), "x = 2")
    cells(pool, Session(3), "x = 3")
    assert output(pool, precious, "x")[0] == "1"
    assert output(pool, plain, "x")[0] == "2"


def test_a_fork_takes_no_place_from_others_unless_it_must(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox, limit=2)
    plain = cells(pool, Session(1), "x = 1")
    precious = cells(pool, Session(2), "x = 2", "TIMEOUT")
    assert pool.fork(plain, rng="same", seed=0).handle is None
    assert pool.evicted == 0
    child = pool.fork(precious, rng="same", seed=0)
    assert pool.evicted == 1
    assert output(pool, child, "x")[0] == "2"


def test_a_rebuild_keeps_the_callers_deadline() -> None:
    sandbox = FakeSandbox(sleep=0.1)
    pool = InterpreterPool(sandbox)
    session = pickle.loads(pickle.dumps(cells(pool, Session(1), *["SLEEP"] * 10)))
    started = time.monotonic()
    with pytest.raises(ReplayFailed):
        pool.run(session, "1", 1.0, patience=0.2)
    assert time.monotonic() - started < 0.7
    assert sandbox.live == 0


def test_waiting_for_a_place_keeps_the_deadline_and_says_so(sandbox: FakeSandbox) -> None:
    sandbox.sleep = 1.0
    pool = InterpreterPool(sandbox, limit=1)
    blocker = threading.Thread(target=pool.run, args=(Session(1), "SLEEP", 5.0))
    blocker.start()
    time.sleep(0.05)
    started = time.monotonic()
    with pytest.raises(SandboxUnavailable, match="interpreters are busy"):
        pool.run(Session(2), "1", 0.1)
    assert time.monotonic() - started < 0.8
    assert pool.run(Session(2), "1 + 1", 10.0)[0].output == "2\n", "once the place is free"
    blocker.join()


def test_a_sandbox_that_breaks_down_leaves_no_place_taken(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox, limit=1)
    for _ in range(3):
        with pytest.raises(SandboxUnavailable):
            pool.run(Session(1), "CRASH", 1.0)
    sandbox.available = False
    for _ in range(3):
        with pytest.raises(SandboxUnavailable, match="doctor"):
            pool.run(Session(1), "1", 1.0)
    sandbox.available = True
    assert output(pool, Session(1), "1")[0] == "1"


# ----------------------------------------------------------------------------------------------------------- threads


def test_the_limit_holds_under_threads(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox, limit=3)
    begun = threading.Barrier(8)

    def episode(number: int) -> str:
        session = cells(pool, Session(number), f"x = [{number}]")
        begun.wait(10)  # on a quick machine one would otherwise be over before the next began
        for step in range(15):
            session = cells(pool, session, f"x.append({step})")
            child = pool.fork(session, rng="same", seed=step)
            child = cells(pool, child, "x.append('child')")
        return output(pool, session, "x")[0]

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(episode, range(8)))
    assert results == [str([number, *range(15)]) for number in range(8)]
    assert sandbox.most_live <= 3
    assert pool.evicted > 0


def test_a_split_rebuild_goes_one_beyond_the_limit_at_most(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox, limit=1)
    child = pool.fork(cells(pool, Session(1), "x = 1"), rng="split", seed=2)
    result, child = pool.run(child, "x", 1.0)
    assert result.output == "1\n"
    assert sandbox.most_live <= 2
    assert (pool.live, sandbox.live) == (1, 1)


def test_ten_forks_in_threads_are_independent(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox)
    parent = cells(pool, Session(1), "x = []")
    children = [pool.fork(parent, rng="split", seed=seed) for seed in range(10)]

    def go(number: int) -> str:
        session = children[number]
        for step in range(20):
            session = cells(pool, session, f"x.append({number * 100 + step})")
        return output(pool, session, "x")[0]

    with ThreadPoolExecutor(10) as threads:
        results = list(threads.map(go, range(10)))
    assert results == [str([number * 100 + step for step in range(20)]) for number in range(10)]
    assert output(pool, parent, "x")[0] == "[]"


def test_one_session_used_by_two_threads_never_mixes_their_cells(sandbox: FakeSandbox) -> None:
    """Whoever comes second gets an interpreter rebuilt from the same past; neither sees the other's cell."""
    pool = InterpreterPool(sandbox)
    for _ in range(100):
        session = cells(pool, Session(1), "x = []")
        barrier = threading.Barrier(4)

        def go(number: int, session: Session = session, barrier: threading.Barrier = barrier) -> str:
            barrier.wait()
            _, after = pool.run(session, f"x.append({number})", 1.0)
            return output(pool, after, "x")[0]

        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(go, range(4))) == [f"[{number}]" for number in range(4)]


def test_a_busy_interpreter_is_neither_used_nor_forked_nor_evicted(sandbox: FakeSandbox) -> None:
    sandbox.sleep = 0.5
    pool = InterpreterPool(sandbox, limit=2)
    session = cells(pool, Session(1), "x = 5")
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(pool.run, session, "SLEEP", 5.0)
        while session.handle is not None and not session.handle.busy:
            time.sleep(0.001)
        assert output(pool, session, "x")[0] == "5", "rebuilt, since the other is busy"
        assert pool.fork(session, rng="same", seed=0).handle is None
        assert output(pool, Session(2), "1")[0] == "1"
        assert not running.done()
        result, after = running.result(timeout=5)
    assert result.status == "ok"
    assert (pool.forked, pool.started) == (0, 3)
    assert output(pool, after, "x")[0] == "5"


class SlowToLetGo(InterpreterPool):
    """Waits between a cell's end and the next step, where a thread switch could fall."""

    def _let_go(self, *arguments: object, **names: object) -> None:
        super()._let_go(*arguments, **names)  # type: ignore[arg-type]
        time.sleep(0.05)


def test_an_old_session_cannot_claim_an_interpreter_that_has_moved_on(sandbox: FakeSandbox) -> None:
    pool = SlowToLetGo(sandbox)
    session = cells(pool, Session(1), "x = []")
    first: list[CellResult] = []
    thread = threading.Thread(target=lambda: first.append(pool.run(session, "x.append(1); print(x)", 1.0)[0]))
    thread.start()
    time.sleep(0.02)
    assert output(pool, session, "x")[0] == "[]"
    thread.join()
    assert first[0].output == "[1]\n"


# --------------------------------------------------------------------------------------------------------- processes


def test_a_pickled_session_is_rebuilt(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox)
    session = cells(pool, Session(1), "x = 41")
    revived = pickle.loads(pickle.dumps(session))
    assert revived.handle is None
    assert output(pool, revived, "x + 1")[0] == "42"
    assert output(pool, session, "x")[0] == "41"
    assert sandbox.started == 2


def test_a_forked_trainer_process_uses_no_interpreter_of_its_parents(sandbox: FakeSandbox) -> None:
    pool = InterpreterPool(sandbox, limit=1)
    session = cells(pool, Session(1), "x = 1")
    with pool._changed:  # a thread that holds the lock does not exist in the child
        process = os.fork()
        if process == 0:
            handle = session.handle
            result, after = pool.run(session, "x", 1.0)
            good = (
                result.output == "1\n"
                and after.handle is not handle
                and pool.live == 1
                and handle.interpreter is not None
            )
            os._exit(0 if good else 1)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        finished, status = os.waitpid(process, os.WNOHANG)
        if finished:
            break
        time.sleep(0.01)
    else:
        os.kill(process, 9)
        os.waitpid(process, 0)
        pytest.fail("the child hangs")
    assert status == 0
    assert output(pool, session, "x")[0] == "1"
    assert pool.started == 1


def test_refuses_a_limit_of_none() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        InterpreterPool(FakeSandbox(), 0)
