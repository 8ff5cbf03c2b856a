"""The words of the Factbook's questions: three wordings of everything, with slots.

{x}, {y} stand for places, {v} for a value, {than} for a comparison ("a larger population"), {noun} for what is
compared.
Left out: which wording is taken (`questions`) and how a single fact is asked for (`facts.RELATIONS`).
"""

# How to name a place by a fact that only it has, by relation.
HOLDER = {
    "capital": (
        "the country or territory whose capital is {v}",
        "the place that has {v} as its capital",
        "the place governed from its capital {v}",
    ),
    "domain": (
        "the country or territory with the internet country code {v}",
        "the place found under the internet country code {v}",
        "the place whose internet country code is {v}",
    ),
    "prefix": (
        "the country or territory whose civil aircraft bear the registration prefix {v}",
        "the place with the aircraft registration prefix {v}",
        "the place where civil aircraft are registered under the prefix {v}",
    ),
    "peak": (
        "the country or territory whose highest point is {v}",
        "the place whose highest elevation is called {v}",
        "the place that has {v} as its highest point",
    ),
}
# How to name a neighbour of {x}, by step.
MOVE = {
    "longest": (
        "the neighbour with which {x} shares its longest land border",
        "the place on the other side of the longest land border of {x}",
        "whichever place has the longest common land border with {x}",
    ),
    "shortest": (
        "the neighbour with which {x} shares its shortest land border",
        "the place on the other side of the shortest land border of {x}",
        "whichever place has the shortest common land border with {x}",
    ),
    "only": (
        "the only place that borders {x} by land",
        "the single neighbour that {x} has by land",
        "the one place with which {x} shares a land border",
    ),
}
# relation: (superlatives, comparatives, noun); the first of each pair is for most=True
COMPARED = {
    "area": (
        ("the largest total area", "the smallest total area"),
        ("a larger total area", "a smaller total area"),
        "total area in square kilometres",
    ),
    "population": (
        ("the largest population", "the smallest population"),
        ("a larger population", "a smaller population"),
        "population",
    ),
    "median_age": (
        ("the highest median age", "the lowest median age"),
        ("a higher median age", "a lower median age"),
        "median age in years",
    ),
    "life_expectancy": (
        ("the highest life expectancy at birth", "the lowest life expectancy at birth"),
        ("a higher life expectancy at birth", "a lower life expectancy at birth"),
        "life expectancy at birth in years",
    ),
    "airports": (
        ("the most airports", "the fewest airports"),
        ("more airports", "fewer airports"),
        "number of airports",
    ),
    "height": (
        ("the most elevated highest point", "the least elevated highest point"),
        ("a more elevated highest point", "a less elevated highest point"),
        "elevation of the highest point in metres",
    ),
    "coastline": (
        ("the longest coastline", "the shortest coastline"),
        ("a longer coastline", "a shorter coastline"),
        "coastline in kilometres",
    ),
}
# Whole questions, by the plan's form.
WHOLE = {
    "count_borders": (
        "How many countries and territories does {x} border by land?",
        "With how many other places does {x} share a land border?",
        "What is the number of places that border {x} by land?",
    ),
    "count_region": (
        "How many places of the same region in the Factbook have a larger population than {x}?",
        "In the region under which the Factbook lists {x}, how many places have a larger population?",
        "By how many places of its own region in the Factbook is {x} exceeded in population?",
    ),
    "count_currency": (
        "How many places use the same currency as {x}, itself included?",
        "The currency of {x} is used by how many places in all, itself included?",
        "Counting itself, how many places share the currency of {x}?",
    ),
    "count_neighbours": (
        "How many of the places that border {x} by land have {than} than {x} itself?",
        "Among the land neighbours of {x}, how many have {than} than {x}?",
        "Of the places sharing a land border with {x}, how many have {than} than it?",
    ),
    "sum_neighbours": (
        "Added up over all places that border {x} by land, what is the {noun}?",
        "What does the {noun} come to for all land neighbours of {x} together?",
        "Taking all places with a land border to {x} together, what is the sum of the {noun}?",
    ),
    "border_share": (
        "Adding up the lengths of all land borders of {x}, what percentage of the sum is its longest one?{round}",
        "What percentage of the land borders of {x}, added up neighbour by neighbour, is the longest of them?{round}",
        "Of the summed length of the land borders of {x}, what per cent falls to the longest border?{round}",
    ),
    "difference": (
        "By how much do {x} and {y} differ in {noun}?{round}",
        "What is the difference in {noun} between {x} and {y}?{round}",
        "Between {x} and {y}, how large is the gap in {noun}?{round}",
    ),
    "density_difference": (
        "By how much do {x} and {y} differ in people per square kilometre of total area?{round}",
        "What is the difference in population per square kilometre of total area between {x} and {y}?{round}",
        "Between {x} and {y}, how large is the gap in inhabitants per square kilometre of total area?{round}",
    ),
    "ratio": (
        "Of {x} and {y}, take the {noun}: how many times the smaller figure is the larger one?{round}",
        "How many times as large is the larger {noun} of {x} and {y} as the smaller one?{round}",
        "Divide the larger {noun} of {x} and {y} by the smaller: what is the ratio?{round}",
    ),
}
# How the result is to be rounded, by the plan's form.
ROUND = {
    "border_share": " Round to one decimal.",
    "difference": " Round to one decimal.",
    "density_difference": " Round to two decimals.",
    "ratio": " Round to two decimals.",
}
