"""Puzzles of the family "code/text": letter sums, rewriting, a robot's program, server logs, ciphers."""

from random import Random

from aepo_env.worlds.code.difficulty import Difficulty
from aepo_env.worlds.code.puzzle import VOWELS, Ask, Kind, Puzzle, invented_words, text_block

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def letter_values(random: Random, difficulty: Difficulty) -> Puzzle:
    """Letter values of words, weighted by place; then of words picked by a letter."""
    words = invented_words(random, difficulty.rows + 2, 1 + difficulty.digits)

    def worth(word: str) -> int:
        return sum(ord(letter) - 96 for letter in word)

    first = Ask(
        wordings=(
            "With a=1, b=2, ..., z=26, multiply each word's letter sum by its place in the list and add up.",
            "Give the sum over the words of place (from 1) times letter sum, where a counts 1 and z counts 26.",
            "Letters are worth their place in the alphabet. What is 1 * first word + 2 * second word + ... worth?",
            "What is the total of position times word value, a word's value being the sum of its letters (a=1, z=26)?",
            "Value each word by its letters (a=1 to z=26), weigh it with its position from 1, and sum.",
        ),
        code="result = sum(i * worth(word) for i, word in enumerate(words, 1))\n",
        value=sum(place * worth(word) for place, word in enumerate(words, 1)),
    )
    letter, factor = random.choice(VOWELS), random.randrange(11, 99)
    then = Ask(
        wordings=(
            "Add up the letter sums of the words that contain '{letter}', times {factor} if they also end in it.",
            "Sum the word values of all words with an '{letter}'; words ending in it count {factor} times.",
            "Only words containing '{letter}' count: their value, or {factor} times it when that is the last letter."
            " What is the total?",
        ),
        code=('result = sum(worth(w) * ($factor if w.endswith("$letter") else 1) for w in words if "$letter" in w)\n'),
        value=sum(worth(word) * (factor if word[-1] == letter else 1) for word in words if letter in word),
        parameters={"letter": letter, "factor": factor},
    )
    return Puzzle(
        given="Words: " + " ".join(words),
        setup=(
            f'words = "{" ".join(words)}".split()\n'
            "def worth(word):\n"
            f'    return sum("{LETTERS}".index(letter) + 1 for letter in word)\n'
        ),
        first=first,
        then=then,
    )


def rewriting(random: Random, difficulty: Difficulty) -> Puzzle:
    """A string rewritten by rules for some rounds; then for more rounds from where it stands."""
    rules = {letter: "".join(random.choice("abc") for _ in range(random.randrange(2, 4))) for letter in "abc"}
    start = "".join(random.choice("abc") for _ in range(4))
    rounds = 2 + difficulty.digits

    def rewritten(text: str, times: int) -> str:
        for _ in range(times):
            text = text.translate({ord(letter): rules[letter] for letter in "abc"})
        return text

    def checksum(text: str) -> int:
        return text.count("a") + 100 * text.count("b") + 10000 * text.count("c")

    live = rewritten(start, rounds)
    first = Ask(
        wordings=(
            f"After {rounds} rounds, what is (number of a) + 100 * (number of b) + 10000 * (number of c)?",
            f"Do {rounds} rounds and count: how much is a + 100 b + 10000 c?",
            f"Let a, b, c be the letter counts after {rounds} rounds; compute a + 100 * b + 10000 * c.",
            f"Rewrite {rounds} times. Each a scores 1, each b 100, each c 10000: what is the score of the string?",
            f"What do you get after {rounds} rounds if an a is worth 1, a b 100 and a c 10000?",
        ),
        code=(
            f"for _ in range({rounds}):\n    s = step(s)\n"
            'result = s.count("a") + 100 * s.count("b") + 10000 * s.count("c")\n'
        ),
        value=checksum(live),
    )
    more = random.randrange(1, 3)
    grown = rewritten(live, more)
    somewhere = random.randrange(len(grown) - 1)
    part = grown[somewhere : somewhere + 2]
    places = [index for index in range(len(grown) - 1) if grown[index : index + 2] == part]
    then = Ask(
        wordings=(
            "Rewrite the string {more} more times, then add up all places (counted from zero) where '{part}' begins.",
            "Do another {more} rounds. What is the sum of the indices, starting at zero, at which '{part}' occurs?",
            "After {more} further rounds, find each occurrence of '{part}' and total the positions, counted from 0.",
        ),
        code=(
            "for _ in range($more):\n    s = step(s)\n"
            'result = sum(i for i in range(len(s)) if s.startswith("$part", i))\n'
        ),
        value=sum(places),
        parameters={"more": more, "part": part},
    )
    shown = ", ".join(f"{letter} becomes {text}" for letter, text in rules.items())
    return Puzzle(
        given=f"Start with the string {start}. In each round every letter is replaced at once: {shown}.",
        setup=(f's = "{start}"\nrules = {rules!r}\ndef step(s):\n    return "".join(rules[letter] for letter in s)\n'),
        first=first,
        then=then,
    )


def _program(random: Random, moves: int) -> str:
    steps = (random.choice("LR") + str(random.randrange(2, 90)) for _ in range(moves))
    return " ".join(steps)


def _walk(program: str, place: complex, heading: complex) -> tuple[complex, complex]:
    """Place and heading after the program; the complex plane is the floor, i is north."""
    for step in program.split():
        heading *= 1j if step[0] == "L" else -1j
        place += heading * int(step[1:])
    return place, heading


def robot(random: Random, difficulty: Difficulty) -> Puzzle:
    """A walking robot; then it walks on from where it stands, facing where it faces."""
    program, more = _program(random, 2 * difficulty.rows), _program(random, 6)
    place, heading = _walk(program, 0, 1j)
    goal, _ = _walk(more, place, heading)

    def label(spot: complex) -> int:
        return 10000 * (int(spot.real) + 5000) + int(spot.imag) + 5000

    first = Ask(
        wordings=(
            "Where does it stop? Give 10000 * (x + 5000) + (y + 5000).",
            "Compute 10000 * (x + 5000) + (y + 5000) for the place (x, y) where it ends.",
            "What is (x + 5000) * 10000 + y + 5000 at the end of the program?",
            "Run the program and encode the final place as 10000 * (x + 5000) + (y + 5000).",
            "The final place is (x, y); what number is 10000 * (x + 5000) + (y + 5000)?",
        ),
        code="result = run(program)\n",
        value=label(place),
    )
    then = Ask(
        wordings=(
            "From there the robot goes on with '{more}'. Encode its new place in the same way.",
            "It now also runs '{more}', from where it stands and faces. Give the same code for the new place.",
            "Without going back to the start, let it run '{more}' too; what is the code of its place then?",
        ),
        code='result = run("$more")\n',
        value=label(goal),
        parameters={"more": more},
    )
    return Puzzle(
        given=(
            "A robot stands at (0, 0) and faces north (y grows northwards, x eastwards). L7 means: turn left by 90"
            f" degrees, then go 7 forward; R7 turns right. Program: {program}"
        ),
        setup=(
            f'program = "{program}"\n'
            "x, y, dx, dy = 0, 0, 0, 1\n"
            "def run(program):\n"
            "    global x, y, dx, dy\n"
            "    for step in program.split():\n"
            '        dx, dy = (-dy, dx) if step[0] == "L" else (dy, -dx)\n'
            "        x, y = x + dx * int(step[1:]), y + dy * int(step[1:])\n"
            "    return 10000 * (x + 5000) + y + 5000\n"
        ),
        first=first,
        then=then,
    )


def server_log(random: Random, difficulty: Difficulty) -> Puzzle:
    """Times in a server log by status; then by machine and time of day."""
    hosts = invented_words(random, 3, 2)
    entries = [
        (random.randrange(86400), random.choice(hosts), random.choice((200, 404, 500)), random.randrange(100, 9999))
        for _ in range(difficulty.rows + 3)
    ]
    entries.sort()
    lines = [
        f"[{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}] {host} status={code} took={ms}ms"
        for s, host, code, ms in entries
    ]
    status = random.choice(entries)[2]
    first = Ask(
        wordings=(
            f"How many milliseconds did the requests with status {status} take altogether?",
            f"Add up the times (in ms) of all lines whose status is {status}.",
            f"What is the total of took over the status {status} lines, in milliseconds?",
            f"Sum the durations of the requests answered with {status}.",
            f"Of the lines with status={status}, what do the milliseconds sum to?",
        ),
        code=f"result = sum(ms for second, host, status, ms in entries if status == {status})\n",
        value=sum(ms for _, _, code, ms in entries if code == status),
    )
    host, factor, hour = random.choice(entries)[1], random.randrange(3, 30), random.randrange(6, 18)
    then = Ask(
        wordings=(
            "For host '{host}', add up milliseconds times {factor}, but single for lines from {hour} o'clock on.",
            "Lines of '{host}' count {factor} times their ms before {hour} o'clock and once from then on. Total?",
            "Only '{host}' matters: milliseconds weigh {factor} before {hour} o'clock and 1 later. What is the sum?",
        ),
        code=(
            "result = sum(ms * ($factor if second < $hour * 3600 else 1) "
            'for second, host, status, ms in entries if host == "$host")\n'
        ),
        value=sum((factor if s // 3600 < hour else 1) * ms for s, name, _, ms in entries if name == host),
        parameters={"host": host, "factor": factor, "hour": hour},
    )
    return Puzzle(
        given="Server log:\n" + "\n".join(lines),
        setup=(
            "import re\n"
            + text_block("log", lines)
            + "entries = []\n"
            + 'line = r"(\\d+):(\\d+):(\\d+)\\] (\\w+) status=(\\d+) took=(\\d+)"\n'
            + "for h, m, s, host, status, ms in re.findall(line, log):\n"
            + "    entries.append((int(h) * 3600 + int(m) * 60 + int(s), host, int(status), int(ms)))\n"
        ),
        first=first,
        then=then,
    )


def cipher(random: Random, difficulty: Difficulty) -> Puzzle:
    """A letter cipher with a keyword; then letters picked out of the plain text."""
    plain = "".join(invented_words(random, difficulty.rows, 3))
    keyword = "".join(random.choice(LETTERS) for _ in range(1 + difficulty.digits))
    shifted = [(ord(p) + ord(keyword[i % len(keyword)]) - 2 * 97) % 26 for i, p in enumerate(plain)]
    secret = "".join(LETTERS[value] for value in shifted)
    first = Ask(
        wordings=(
            "Decipher it and add up place (from 1) times letter value (a=0, z=25) of the plain text.",
            "In the plain text, let a=0, ..., z=25: what is the sum of position (from 1) times value?",
            "What is the checksum 1 * first + 2 * second + ... of the plain letters, with a as 0 and z as 25?",
            "Undo the cipher; then give the sum of letter number (a=0 to z=25) times position, counted from 1.",
            "Weigh each plain letter (a=0, z=25) with its position, starting at 1. What is the total?",
        ),
        code="result = sum(i * letters.index(letter) for i, letter in enumerate(plain, 1))\n",
        value=sum(place * (ord(letter) - 97) for place, letter in enumerate(plain, 1)),
    )
    start, every = random.randrange(0, 3), random.randrange(2, 4)
    then = Ask(
        wordings=(
            "Skip the first {start} plain letters, then take one of every {every}, beginning with the next. What"
            " letters come out, read backwards?",
            "From plain position {start} on, counted from zero, keep every letter at a distance that {every} divides."
            " Write the kept letters in reverse.",
            "Drop {start} letters from the front of the plain text; of the rest keep the first of every {every}."
            " Give them in reverse order.",
        ),
        code="result = plain[$start::$every][::-1]\n",
        value="".join(reversed(plain[start::every])),
        parameters={"start": start, "every": every},
    )
    return Puzzle(
        given=(
            f"The text {secret} was made by adding the keyword {keyword}, repeated, to the plain text letter by letter"
            " (a=0, ..., z=25, modulo 26)."
        ),
        setup=(
            f'letters = "{LETTERS}"\nsecret, keyword = "{secret}", "{keyword}"\n'
            'plain = "".join(letters[(letters.index(c) - letters.index(keyword[i % len(keyword)])) % 26]'
            " for i, c in enumerate(secret))\n"
        ),
        first=first,
        then=then,
    )


KINDS: dict[str, Kind] = {
    "letter-values": letter_values,
    "rewriting": rewriting,
    "robot": robot,
    "server-log": server_log,
    "cipher": cipher,
}
