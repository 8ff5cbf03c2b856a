"""How questions are put: at least five forms for every family.

{chain} is "mayor of the birthplace of Mira Tol", {a} and {b} name entities, {x} {y} {z} are "the population of Keld".
"""

LOOKUP = (
    "What is the {chain}?",
    "Name the {chain}.",
    "Find the {chain}.",
    "Tell me the {chain}.",
    "I would like to know the {chain}.",
    "Please look up the {chain}.",
)

COMPARISON = (
    "What is the {noun} of the {kind} that {compare}: {a} or {b}?",
    "Of {a} and {b}, take the one that {compare}. What is its {noun}?",
    "Which of {a} and {b} {compare}? Give the {noun} of that {kind}.",
    "Compare {a} with {b} and name the {noun} of the one that {compare}.",
    "Find out whether {a} or {b} {compare}, then tell me the {noun} of that {kind}.",
    "I have two {kinds}, {a} and {b}. What is the {noun} of the one that {compare}?",
)

COUNTING = (
    "How many {members} are there?",
    "What is the number of {members}?",
    "Count the {members}.",
    "How many {members} does the atlas know?",
    "Give the number of {members}.",
    "Find out how many {members} are on record.",
)

ARITHMETIC: dict[str, tuple[str, tuple[str, ...]]] = {
    "sum": (
        "{x} + {y}",
        (
            "What is {x} plus {y}?",
            "Add {x} to {y}.",
            "What is the sum of {x} and {y}?",
            "How much do {x} and {y} make together?",
            "Work out the total of {x} and {y}.",
            "Take {x}, add {y}, and tell me the result.",
        ),
    ),
    "difference": (
        "abs({x} - {y})",
        (
            "By how much do {x} and {y} differ?",
            "What is the difference between {x} and {y}?",
            "How far apart are {x} and {y}?",
            "Subtract the smaller from the larger: {x} and {y}.",
            "Work out the gap between {x} and {y}.",
            "Give the absolute difference of {x} and {y}.",
        ),
    ),
    "product": (
        "{x} * {y}",
        (
            "What is {x} times {y}?",
            "Multiply {x} by {y}.",
            "What is the product of {x} and {y}?",
            "Take {x}, multiply it by {y}, and give the result.",
            "Work out {x} multiplied by {y}.",
            "If you multiply {x} by {y}, what do you get?",
        ),
    ),
    "product minus": (
        "{x} * {y} - {z}",
        (
            "Multiply {x} by {y}, then subtract {z}. What is the result?",
            "What is {x} times {y}, minus {z}?",
            "Work out the product of {x} and {y}, less {z}.",
            "Take {z} away from the product of {x} and {y}.",
            "First multiply {x} by {y}; how much is left after taking away {z}?",
            "Give {x} multiplied by {y}, reduced by {z}.",
        ),
    ),
    "remainder": (
        "{x} * {y} % {z}",
        (
            "Multiply {x} by {y} and divide by {z}. What is the remainder?",
            "What remains when the product of {x} and {y} is divided by {z}?",
            "Work out the remainder of {x} times {y} on division by {z}.",
            "Find {x} times {y} modulo {z}.",
            "Divide the product of {x} and {y} by {z} and give the remainder.",
            "Give the remainder that {x} multiplied by {y} leaves on division by {z}.",
        ),
    ),
}
"""Operation -> the Python expression over its numbers, and its wordings. Those with {z} need three numbers."""

CLUES = ("{name} whose {noun} is {value}", "{name} with {value} as {noun}")
"""How a question tells apart several entities of one name, after "the"."""
