"""Maths equivalence by the library: right verdicts, and nothing a text says raises, hangs or grows."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from aepo_env.errors import MissingExtra
from aepo_env.rewards import maths
from aepo_env.rewards.maths import maths_equal

LIMIT = 3.0  # seconds, promised for any comparison
library = pytest.mark.skipif(
    maths.importlib.util.find_spec("math_verify") is None, reason="the extra `math` is not installed"
)


@pytest.fixture(scope="module", autouse=True)
def _started() -> None:
    """The first call starts a helper, which no time limit below is about."""
    if maths.importlib.util.find_spec("math_verify") is not None:
        assert maths_equal("2/4", r"\frac{3}{6}")


@library
@pytest.mark.parametrize(
    ("prediction", "answer", "equal"),
    [
        ("0.5", r"\frac{1}{2}", True),
        ("3√3 − 6", r"-6 + 3\sqrt{3}", True),
        ("3√3 + 6", r"3\sqrt{3} - 6", False),
        ("-5", "5", False),
        (r"x^{2}+5x+1", r"1 + x^2 + 5x", True),
        ("(2, 1)", "(1, 2)", False),
        ("[1, 2]", "(1, 2)", False),
        ("-2, 3, 6", "3, 6, -2", True),
        ("6", "5, 6", False),
        ("5, 6", "6", False),  # a list of guesses
        (r"\frac{2\pi}{4}", r"\frac{\pi}{2}", True),
    ],
)
def test_verdicts(prediction: str, answer: str, equal: bool) -> None:
    assert maths_equal(prediction, answer) is equal


@library
def test_any_one_answer_is_right() -> None:
    assert maths_equal(r"\frac{2}{4}", [r"\sqrt{7}", "0.5"])


@library
@pytest.mark.parametrize(
    "hostile",
    [
        "9^{9^{9^{9}}}",
        "10000000!",
        "{" * 900,
        "(" * 900 + ")" * 80,
        "x^{" * 200 + "}" * 200,
        r"\prod_{k=1}^{10^{8}} k",
        r"\binom{10^{9}}{10^{8}}",
        "\ud800\0",
        "$" * 500,
        '__import__("os").system("touch /tmp/owned")',
        "9" * 100_000,
        r"\int_0^1 x^{x^x} dx",
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_hostile_expression_is_not_equal_within_its_time(hostile: str) -> None:
    started = time.monotonic()
    assert maths_equal(hostile, "5", seconds=0.5) is False
    assert time.monotonic() - started < 1.5


@library
def test_worst_case_keeps_the_promised_limit() -> None:
    started = time.monotonic()
    assert maths_equal("5", "7^{7^{7^{7}}}") is False
    assert time.monotonic() - started < LIMIT


@library
def test_a_hanging_comparison_does_not_hold_up_the_next() -> None:
    maths_equal("8^{8^{8^{8}}}", "5", seconds=0.3)
    started = time.monotonic()
    assert maths_equal(r"\frac{7}{14}", "0.5")
    assert time.monotonic() - started < 1.0


@library
def test_works_from_many_threads() -> None:
    with ThreadPoolExecutor(8) as threads:
        verdicts = list(threads.map(lambda n: maths_equal(rf"\frac{{{2 * n}}}{{2}}", str(n + n % 2)), range(3, 27)))
    assert verdicts == [n % 2 == 0 for n in range(3, 27)]


@library
def test_a_killed_helper_is_replaced() -> None:
    pool = maths._Pool(1)
    assert pool.ask({"gold": "0.5", "prediction": r"\frac{1}{2}", "seconds": 2.0}, 2.5)
    helper = pool._idle.get()
    assert helper is not None
    os.kill(helper._process.pid, signal.SIGKILL)  # as the system does when memory is short
    pool._idle.put(helper)
    assert pool.ask({"gold": "0.5", "prediction": r"\frac{1}{2}", "seconds": 2.0}, 2.5)
    pool.close()


@library
def test_helpers_get_no_secret_and_leave_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    helper = maths._Helper()
    with open(f"/proc/{helper._process.pid}/environ", "rb") as environment:
        assert b"SECRET_TOKEN" not in environment.read()
    helper.close()
    with pytest.raises(ProcessLookupError):
        os.killpg(helper._process.pid, 0)


def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maths.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"aepo-env\[math\]"):
        maths_equal("17", r"\sqrt{289}")
    assert maths_equal("1/2", r"\frac12")  # spelling needs no library
