"""The easy end of the code tasks: one-line questions of fixed shape, for policies of about a million parameters.

The oracle's cell is nearly a copy of the question's numbers ("Compute 37 * 24 + 5." -> `print(37 * 24 + 5)`). The
kinds with state make two calls: the first sets a variable or a generator and prints one sign, the second goes on
with it in one of two ways, as the sign says. Unlike the sealed questions of the larger settings, a skilled program
could take the decision itself and do with one call; what is trained here is to look at a result and to build on
variables that are alive.

Each kind has a single wording on purpose: at this size wording is not what should be hard.
"""

from collections.abc import Callable
from datetime import date, timedelta
from random import Random

from aepo_env.worlds.code.difficulty import Difficulty
from aepo_env.worlds.code.draft import Draft
from aepo_env.worlds.code.puzzle import invented_word, number

TinyKind = Callable[[Random, Difficulty], Draft]


def _one_call(question: str, code: str, answer: int | str) -> Draft:
    return Draft(question=question, answer=str(answer), content=question, first=code + "\n")


def _two_calls(question: str, first: str, branches: dict[str, str], answer: int | str) -> Draft:
    cells = {sign: code + "\n" for sign, code in branches.items()}
    return Draft(question=question, answer=str(answer), content=question, first=first + "\n", branches=cells)


def arithmetic(random: Random, difficulty: Difficulty) -> Draft:
    """A product and a sum."""
    a, b, c = (number(random, difficulty.digits) for _ in range(3))
    return _one_call(f"Compute {a} * {b} + {c}.", f"print({a} * {b} + {c})", a * b + c)


def parity(random: Random, difficulty: Difficulty) -> Draft:
    """A product kept in a variable; its remainder by 2 says how to go on."""
    a, b, c, d = (number(random, difficulty.digits) for _ in range(4))
    x = a * b
    return _two_calls(
        f"Set x = {a} * {b}. Print x % 2. If 0, answer x + {c}. If 1, answer x * {d}.",
        f"x = {a} * {b}; print(x % 2)",
        {"0": f"print(x + {c})", "1": f"print(x * {d})"},
        x * d if x % 2 else x + c,
    )


def total(random: Random, difficulty: Difficulty) -> Draft:
    """The sum of a short list."""
    values = [number(random, difficulty.digits + 1) for _ in range(difficulty.rows + 1)]
    return _one_call(f"Compute sum({values}).", f"print(sum({values}))", sum(values))


def larger_end(random: Random, difficulty: Difficulty) -> Draft:
    """A list kept in a variable; whether its first number is the larger end says how to go on."""
    values = [number(random, difficulty.digits) for _ in range(difficulty.rows)]
    a, b = number(random, difficulty.digits), number(random, difficulty.digits)
    first = values[0] > values[-1]
    return _two_calls(
        f"Set v = {values}. Print v[0] > v[-1]. If True, answer sum(v) * {a}. If False, answer max(v) * {b}.",
        f"v = {values}; print(v[0] > v[-1])",
        {"True": f"print(sum(v) * {a})", "False": f"print(max(v) * {b})"},
        sum(values) * a if first else max(values) * b,
    )


def backwards(random: Random, difficulty: Difficulty) -> Draft:
    """A word written backwards."""
    word = invented_word(random, difficulty.digits + 1)
    return _one_call(f'Reverse "{word}".', f'print("{word}"[::-1])', word[::-1])


def shared_letter(random: Random, difficulty: Difficulty) -> Draft:
    """A word kept in a variable; whether it contains a letter says what to put on its reversal."""
    word = invented_word(random, difficulty.digits + 2)
    letter = random.choice("aeiou")
    yes, no = invented_word(random, 1), invented_word(random, 1)
    return _two_calls(
        f'Set s = "{word}". Print "{letter}" in s. If True, answer s[::-1] + "{yes}".'
        f' If False, answer s[::-1] + "{no}".',
        f's = "{word}"; print("{letter}" in s)',
        {"True": f'print(s[::-1] + "{yes}")', "False": f'print(s[::-1] + "{no}")'},
        word[::-1] + (yes if letter in word else no),
    )


def _day(random: Random) -> date:
    return date(1950, 1, 1) + timedelta(days=random.randrange(36500))


def days_between(random: Random, difficulty: Difficulty) -> Draft:
    """Days from one date to another."""
    early, late = sorted((_day(random), _day(random)))
    return _one_call(
        f"Days from {early} to {late}?",
        f'from datetime import date; d = date.fromisoformat; print((d("{late}") - d("{early}")).days)',
        (late - early).days,
    )


def week_half(random: Random, difficulty: Difficulty) -> Draft:
    """A date kept in a variable; whether it is early in the week says what to compute from it."""
    day = _day(random)
    a, b = number(random, difficulty.digits + 1), number(random, difficulty.digits + 1)
    early = day.weekday() < 3
    return _two_calls(
        f"Set d = {day}. Print d.weekday() < 3. If True, answer d + {a} days. If False, answer d - {b} days.",
        f'from datetime import date, timedelta; d = date.fromisoformat("{day}"); print(d.weekday() < 3)',
        {"True": f"print(d + timedelta({a}))", "False": f"print(d - timedelta({b}))"},
        str(day + timedelta(days=a) if early else day - timedelta(days=b)),
    )


def live_stream(random: Random, difficulty: Difficulty) -> Draft:
    """A generator with a seed; its first draw says from which range to draw next."""
    seed, a, b = (number(random, difficulty.digits + 1) for _ in range(3))
    generator = Random(seed)
    sign = generator.randrange(2)
    return _two_calls(
        f"Set r = random.Random({seed}). Print r.randrange(2). If 0, answer r.randrange({a})."
        f" If 1, answer r.randrange({b}).",
        f"import random; r = random.Random({seed}); print(r.randrange(2))",
        {"0": f"print(r.randrange({a}))", "1": f"print(r.randrange({b}))"},
        generator.randrange(b if sign else a),
    )


ONE_CALL: dict[str, dict[str, TinyKind]] = {
    "table": {"total": total},
    "text": {"backwards": backwards},
    "dates": {"days-between": days_between},
    "number-theory": {"arithmetic": arithmetic},
}

TWO_CALLS: dict[str, dict[str, TinyKind]] = {
    "table": {"larger-end": larger_end},
    "text": {"shared-letter": shared_letter},
    "dates": {"week-half": week_half},
    "number-theory": {"parity": parity, "live-stream": live_stream},
}
