"""Puzzles of the family "code/number-theory": powers, primes, a number stream, divisors, the 3n + 1 rule."""

from math import gcd, isqrt
from random import Random

from aepo_env.worlds.code.difficulty import Difficulty
from aepo_env.worlds.code.puzzle import Ask, Kind, Puzzle, number


def _is_prime(candidate: int) -> bool:
    return candidate > 1 and all(candidate % divisor for divisor in range(2, isqrt(candidate) + 1))


def _prime_after(start: int) -> int:
    while not _is_prime(start):
        start += 1
    return start


def powers(random: Random, difficulty: Difficulty) -> Puzzle:
    """A sum of two powers modulo m; then an inverse of it, or a power of it, by another modulus."""
    digits = difficulty.digits
    a, b, c, d = (number(random, digits) for _ in range(4))
    modulus = number(random, digits + 2)
    value = (pow(a, b, modulus) + pow(c, d, modulus)) % modulus
    first = Ask(
        wordings=(
            f"What is the remainder of {a}^{b} + {c}^{d} after division by {modulus}?",
            f"Compute ({a}**{b} + {c}**{d}) modulo {modulus}.",
            f"Raise {a} to the power {b} and {c} to the power {d}, add, and reduce modulo {modulus}.",
            f"Modulo {modulus}, what is the sum of {a}^{b} and {c}^{d}?",
            f"Dividing {a}^{b} + {c}^{d} by {modulus} leaves which remainder?",
        ),
        code=f"result = ({a}**{b} + {c}**{d}) % {modulus}\n"
        if digits < 4
        else (f"result = (pow({a}, {b}, {modulus}) + pow({c}, {d}, {modulus})) % {modulus}\n"),
        value=value,
    )
    prime = _prime_after(modulus + random.randrange(1000))
    if value and random.random() < 0.5:
        then = Ask(
            wordings=(
                "What is the inverse of the first result modulo the prime {prime}?",
                "Find the positive x below {prime} (a prime) such that the first result times x leaves remainder 1.",
                "By which number below {prime}, a prime, must the first result be multiplied to give 1 modulo it?",
            ),
            code="result = pow(result, -1, $prime)\n",
            value=pow(value, prime - 2, prime),
            parameters={"prime": prime},
        )
    else:
        exponent = number(random, digits)
        then = Ask(
            wordings=(
                "Let y be the first result plus {exponent}; raise y to the power y and reduce modulo {prime}.",
                "Add {exponent} to the first result to get y; what is y^y modulo {prime}?",
                "With y = first result + {exponent}, what remains of y to the power y after division by {prime}?",
            ),
            code="y = result + $exponent\nresult = pow(y, y, $prime)\n",
            value=pow(value + exponent, value + exponent, prime),
            parameters={"exponent": exponent, "prime": prime},
        )
    return Puzzle(given="", setup="", first=first, then=then)


def primes(random: Random, difficulty: Difficulty) -> Puzzle:
    """The sum of the primes in a range; then of every n-th of them, or products of neighbours."""
    low = number(random, difficulty.digits) + 20
    high = low + random.randrange(40, 40 * difficulty.rows)
    found = [candidate for candidate in range(low, high + 1) if _is_prime(candidate)]
    first = Ask(
        wordings=(
            f"What is the sum of the primes from {low} to {high}?",
            f"Add up all prime numbers p with {low} <= p <= {high}.",
            f"Find the total of every prime between {low} and {high}, both ends included.",
            f"The primes no smaller than {low} and no larger than {high} sum to what?",
            f"List the primes in the range {low} to {high} and give their sum.",
        ),
        code="result = sum(primes)\n",
        value=sum(found),
    )
    if random.random() < 0.5:
        every, factor = random.randrange(2, 5), random.randrange(11, 99)
        then = Ask(
            wordings=(
                "Of the list of primes in ascending order keep one in {every}, starting with the smallest. Sum times"
                " {factor}?",
                "Take the smallest prime of the list and from there each {every}th; multiply their sum by {factor}.",
                "Step through the ascending list in strides of {every}, from its first prime; give the sum times"
                " {factor}.",
            ),
            code="result = sum(primes[::$every]) * $factor\n",
            value=factor * sum(prime for index, prime in enumerate(found) if index % every == 0),
            parameters={"every": every, "factor": factor},
        )
    else:
        modulus = number(random, 4)
        then = Ask(
            wordings=(
                "Multiply each prime of the list with the next one and add the products, modulo {modulus}.",
                "What is the sum of the products of neighbouring primes in the list, modulo {modulus}?",
                "Add p times q over all consecutive primes p, q of the list; give the remainder by {modulus}.",
            ),
            code="result = sum(p * q for p, q in zip(primes, primes[1:])) % $modulus\n",
            value=sum(found[i] * found[i + 1] for i in range(len(found) - 1)) % modulus,
            parameters={"modulus": modulus},
        )
    return Puzzle(
        given="",
        setup=f"primes = [n for n in range({low}, {high + 1}) if all(n % d for d in range(2, int(n**0.5) + 1))]\n",
        first=first,
        then=then,
    )


def stream(random: Random, difficulty: Difficulty) -> Puzzle:
    """A number stream as a generator; then the values after those already taken from it."""
    modulus = number(random, difficulty.digits + 2)
    factor, step, start = (random.randrange(2, modulus) for _ in range(3))
    taken, more = (random.randrange(5, 10 * difficulty.rows) for _ in range(2))
    values = [start]
    for _ in range(taken + more):
        values.append((factor * values[-1] + step) % modulus)
    first = Ask(
        wordings=(
            f"What is the sum of the first {taken} values?",
            f"Add up {taken} values from the beginning of the sequence.",
            f"Starting with x0 itself, {taken} values sum to what?",
            f"Give the total of x0 and the {taken - 1} values after it.",
            f"Take {taken} values, x0 being the first of them. What is their sum?",
        ),
        code=f"result = sum(next(values) for _ in range({taken}))\n",
        value=sum(values[:taken]),
    )
    following = values[taken : taken + more]
    if random.random() < 0.5:
        then = Ask(
            wordings=(
                "Go on in the sequence: what is the sum of the next {more} values after those?",
                "Take {more} further values, following the last one used, and add them up.",
                "What do the {more} values that come after those sum to?",
            ),
            code="result = sum(next(values) for _ in range($more))\n",
            value=sum(following),
            parameters={"more": more},
        )
    else:
        then = Ask(
            wordings=(
                "Among the next {more} values after those, multiply the largest by the smallest.",
                "Take {more} further values, following the last one used: what is their maximum times their minimum?",
                "Of the {more} values that come after those, what is the product of the greatest and the least?",
            ),
            code="more = [next(values) for _ in range($more)]\nresult = max(more) * min(more)\n",
            value=max(following) * min(following),
            parameters={"more": more},
        )
    return Puzzle(
        given=f"A sequence starts with x0 = {start}; each next value is ({factor} * x + {step}) modulo {modulus}.",
        setup=(
            "def sequence(x):\n"
            "    while True:\n"
            "        yield x\n"
            f"        x = ({factor} * x + {step}) % {modulus}\n"
            f"values = sequence({start})\n"
        ),
        first=first,
        then=then,
    )


def divisors(random: Random, difficulty: Difficulty) -> Puzzle:
    """Numbers weighted by how many divisors they have; then those with a wanted number of divisors."""
    low = number(random, difficulty.digits) + 10
    high = low + 4 * difficulty.rows + random.randrange(20)
    counts = dict.fromkeys(range(low, high + 1), 0)
    for divisor in range(1, isqrt(high) + 1):
        for multiple in range(max(divisor * divisor, -(-low // divisor) * divisor), high + 1, divisor):
            counts[multiple] += 1 if multiple == divisor * divisor else 2
    first = Ask(
        wordings=(
            f"For each n from {low} to {high} multiply n by its number of divisors; what is the sum?",
            f"Add up n * d(n) for n = {low} to {high}, where d(n) counts the divisors of n (1 and n included).",
            f"Let d(n) be how many positive divisors n has. Find the sum of n times d(n) over {low} <= n <= {high}.",
            f"Weigh every number from {low} to {high} with its count of divisors and give the total.",
            f"What is the sum, over all n between {low} and {high} inclusive, of n times the number of its divisors?",
        ),
        code="result = sum(n * k for n, k in count.items())\n",
        value=sum(n * count for n, count in counts.items()),
    )
    wanted, factor = random.choice(list(counts.values())), random.randrange(11, 99)
    then = Ask(
        wordings=(
            "Numbers of the range with exactly {wanted} divisors count {factor} times, all others once. The sum?",
            "Add up the range again, but a number with just {wanted} divisors enters {factor} times.",
            "Sum the numbers of the range, but multiply those that have exactly {wanted} divisors by {factor}.",
        ),
        code="result = sum(n * ($factor if k == $wanted else 1) for n, k in count.items())\n",
        value=sum(counts) + (factor - 1) * sum(n for n, count in counts.items() if count == wanted),
        parameters={"wanted": wanted, "factor": factor},
    )
    return Puzzle(
        given="",
        setup=(
            f"numbers = range({low}, {high + 1})\n"
            "count = {n: sum(2 for d in range(1, int(n**0.5) + 1) if n % d == 0) for n in numbers}\n"
            "count = {n: k - (int(n**0.5) ** 2 == n) for n, k in count.items()}\n"
        ),
        first=first,
        then=then,
    )


def three_n_plus_one(random: Random, difficulty: Difficulty) -> Puzzle:
    """Steps of several numbers down to 1 under the 3n + 1 rule; then their peaks."""
    starts = [number(random, difficulty.digits + 1) for _ in range(difficulty.rows)]
    shown = ", ".join(map(str, starts))

    def path(n: int) -> list[int]:
        values = [n]
        while values[-1] != 1:
            values.append(values[-1] // 2 if values[-1] % 2 == 0 else 3 * values[-1] + 1)
        return values

    paths = [path(start) for start in starts]
    first = Ask(
        wordings=(
            f"Add up place times steps for the starting numbers {shown} (places count from 1).",
            f"The starting numbers are {shown}. What is 1 * steps of the first + 2 * steps of the second + ...?",
            f"Count the steps of {shown}; weigh each count with its place (1, 2, ...) and give the total.",
            f"How much is the sum of position (from 1) times number of steps over these starts: {shown}?",
            f"Take the starts {shown}. Multiply each one's number of steps by its position, from 1, and add up.",
        ),
        code="result = sum(i * (len(p) - 1) for i, p in enumerate(paths, 1))\n",
        value=sum(place * (len(one) - 1) for place, one in enumerate(paths, 1)),
    )
    modulus = number(random, difficulty.digits + 2)
    then = Ask(
        wordings=(
            "Add the squares of the largest values met on each way, start included; what is it modulo {modulus}?",
            "For every start take the peak of its way (the start counts), square it, and total modulo {modulus}.",
            "What is the sum of the squared peaks of all ways, starts included, after reduction modulo {modulus}?",
        ),
        code="result = sum(max(p) ** 2 for p in paths) % $modulus\n",
        value=sum(max(one) ** 2 for one in paths) % modulus,
        parameters={"modulus": modulus},
    )
    return Puzzle(
        given="A step turns n into n / 2 when n is even and into 3 * n + 1 when it is odd; the way ends at 1.",
        setup=(
            "def way(n):\n"
            "    p = [n]\n"
            "    while n != 1:\n"
            "        n = 3 * n + 1 if n % 2 else n // 2\n"
            "        p.append(n)\n"
            "    return p\n"
            f"paths = [way(n) for n in [{shown}]]\n"
        ),
        first=first,
        then=then,
    )


def fractions(random: Random, difficulty: Difficulty) -> Puzzle:
    """A sum of fractions in lowest terms; then the sum grows by further fractions."""
    count = max(3, difficulty.rows // 3)
    parts = [(random.randrange(1, 30), random.randrange(2, 30)) for _ in range(count)]
    shown = " + ".join(f"{top}/{bottom}" for top, bottom in parts)

    def lowest(pairs: list[tuple[int, int]]) -> tuple[int, int]:
        top, bottom = 0, 1
        for above, below in pairs:
            top, bottom = top * below + above * bottom, bottom * below
        return top // gcd(top, bottom), bottom // gcd(top, bottom)

    first = Ask(
        wordings=(
            f"Bring {shown} to lowest terms; what is numerator plus denominator?",
            f"Add {shown}, reduce, and give the sum of numerator and denominator.",
            f"What do numerator and denominator of {shown}, in lowest terms, add up to?",
            f"Write {shown} as one reduced fraction p/q. What is p + q?",
            f"Let p/q be {shown} in lowest terms. Compute p + q.",
        ),
        code="result = total.numerator + total.denominator\n",
        value=sum(lowest(parts)),
    )
    extra = (random.randrange(1, 90), random.randrange(31, 90))
    modulus = number(random, 5)
    top, bottom = lowest([*parts, extra])
    then = Ask(
        wordings=(
            "Now add {top}/{bottom} to the fraction, reduce, and give numerator times denominator modulo {modulus}.",
            "Increase the sum by {top}/{bottom}, reduce, and find numerator times denominator modulo {modulus}.",
            "With {top}/{bottom} added as well and all reduced to p/q, what is p * q modulo {modulus}?",
        ),
        code=("total += Fraction($top, $bottom)\nresult = total.numerator * total.denominator % $modulus\n"),
        value=top * bottom % modulus,
        parameters={"top": extra[0], "bottom": extra[1], "modulus": modulus},
    )
    return Puzzle(
        given="",
        setup=f'from fractions import Fraction\ntotal = sum(Fraction(f) for f in "{shown}".split(" + "))\n',
        first=first,
        then=then,
    )


KINDS: dict[str, Kind] = {
    "powers": powers,
    "primes": primes,
    "stream": stream,
    "divisors": divisors,
    "three-n-plus-one": three_n_plus_one,
    "fractions": fractions,
}
