"""Puzzles of the family "code/table": orders, price lists, ledgers, rankings, readings."""

from random import Random

from aepo_env.worlds.code.difficulty import Difficulty
from aepo_env.worlds.code.puzzle import Ask, Kind, Puzzle, invented_words, number, text_block


def orders(random: Random, difficulty: Difficulty) -> Puzzle:
    """Revenue of one town in a table of orders; then of chosen rows, or after a change of prices."""
    towns = invented_words(random, 3, 2)
    items = invented_words(random, 4, 2)
    rows = [
        (random.choice(towns), random.choice(items), random.randrange(2, 100), number(random, difficulty.digits))
        for _ in range(difficulty.rows)
    ]
    town, item = random.choice(rows)[:2]
    lines = [",".join(map(str, row)) for row in rows]
    first = Ask(
        wordings=(
            f"What is the revenue (units times price, added up) of the town {town}?",
            f"Add up units times price over all orders from {town}.",
            f"How much did {town} bring in altogether, at units times price per order?",
            f"Find the total of units * price for the rows of {town}.",
            f"For {town} alone, what do units multiplied by price sum to?",
        ),
        code=f'result = sum(int(u) * int(p) for t, i, u, p in orders if t == "{town}")\n',
        value=sum(units * price for where, _, units, price in rows if where == town),
    )
    if random.random() < 0.5:
        limit = random.randrange(30, 70)
        then = Ask(
            wordings=(
                "What is the revenue of the orders whose item is '{item}' or whose units exceed {limit}?",
                "Add up units times price where the item is '{item}' or the units are greater than {limit}.",
                "Taking only rows of '{item}' and rows with more units than {limit}, what is the total revenue?",
            ),
            code='result = sum(int(u) * int(p) for t, i, u, p in orders if i == "$item" or int(u) > $limit)\n',
            value=sum(units * price for _, what, units, price in rows if what == item or units > limit),
            parameters={"item": item, "limit": limit},
        )
    else:
        rise = random.randrange(3, 50)
        then = Ask(
            wordings=(
                "If every price rises by {rise}, what is the revenue of all towns except '{town}'?",
                "Add {rise} to each price; what is then the revenue outside the town '{town}'?",
                "With all prices {rise} higher, add up units times price for every town but '{town}'.",
            ),
            code='result = sum(int(u) * (int(p) + $rise) for t, i, u, p in orders if t != "$town")\n',
            value=sum(units * (price + rise) for where, _, units, price in rows if where != town),
            parameters={"rise": rise, "town": town},
        )
    return Puzzle(
        given="Orders, one a line, as town,item,units,price:\n" + "\n".join(lines),
        setup=text_block("table", lines) + 'orders = [line.split(",") for line in table.splitlines()]\n',
        first=first,
        then=then,
    )


def _price_list_then(random: Random, prices: dict[str, int], baskets: list[tuple[str, int]]) -> Ask:
    """A discount on the dear items, or the cost of large baskets of cheap ones."""
    limit = sorted(prices.values())[len(prices) // 2]
    if random.random() < 0.5:
        discount = random.randrange(2, 10)
        return Ask(
            wordings=(
                "Items whose price is at least {limit} become {discount} cheaper each. What do all baskets cost now?",
                "From price {limit} upwards, take {discount} off each unit price; give the new total cost.",
                "If every item costing {limit} or more is reduced by {discount}, what is the total of the baskets?",
            ),
            code=(
                "result = sum(units * (prices[item] - ($discount if prices[item] >= $limit else 0)) "
                "for item, units in baskets)\n"
            ),
            value=sum((prices[i] - discount if prices[i] >= limit else prices[i]) * units for i, units in baskets),
            parameters={"limit": limit, "discount": discount},
        )
    least = random.randrange(5, 25)
    return Ask(
        wordings=(
            "Count only baskets with at least {least} units of items priced at {limit} or below. Their cost?",
            "What do the baskets of {least} or more units cost, leaving out items dearer than {limit}?",
            "Keep baskets of no fewer than {least} units whose item costs no more than {limit}; add up their cost.",
        ),
        code=(
            "result = sum(units * prices[item] for item, units in baskets "
            "if units >= $least and prices[item] <= $limit)\n"
        ),
        value=sum(prices[i] * units for i, units in baskets if not (units < least or prices[i] > limit)),
        parameters={"least": least, "limit": limit},
    )


def price_list(random: Random, difficulty: Difficulty) -> Puzzle:
    """A join: baskets against a price list; then with a discount, or for the dear items only."""
    items = invented_words(random, max(4, difficulty.rows // 2), 2)
    prices = {item: number(random, difficulty.digits) for item in items}
    baskets = [(random.choice(items), random.randrange(2, 60)) for _ in range(difficulty.rows)]
    price_lines = [f"{item} {price}" for item, price in prices.items()]
    basket_lines = [f"{item} {units}" for item, units in baskets]
    first = Ask(
        wordings=(
            "What do all baskets cost together?",
            "Find the total cost of the baskets at these prices.",
            "How much has to be paid for everything in the baskets?",
            "Price every basket and add up the costs.",
            "Join the baskets with the price list: what is the sum of units times price?",
        ),
        code="result = sum(units * prices[item] for item, units in baskets)\n",
        value=sum(prices[item] * units for item, units in baskets),
    )
    return Puzzle(
        given="Price list (item price):\n"
        + "\n".join(price_lines)
        + "\nBaskets (item units):\n"
        + "\n".join(basket_lines),
        setup=(
            text_block("price_list", price_lines)
            + text_block("basket_list", basket_lines)
            + "prices = {item: int(price) for item, price in map(str.split, price_list.splitlines())}\n"
            + "baskets = [(item, int(units)) for item, units in map(str.split, basket_list.splitlines())]\n"
        ),
        first=first,
        then=_price_list_then(random, prices, baskets),
    )


def _transfer(random: Random, names: list[str], scale: int) -> tuple[str, str, int]:
    payer, receiver = random.sample(names, 2)
    return payer, receiver, random.randrange(scale // 2, 2 * scale)


def _pay(balances: dict[str, int], transfers: list[tuple[str, str, int]]) -> int:
    """Carry out covered transfers on `balances`; the sum of place (from 1) times balance afterwards."""
    for payer, receiver, amount in transfers:
        if balances[payer] >= amount:
            balances[payer] -= amount
            balances[receiver] += amount
    return sum(place * balance for place, balance in enumerate(balances.values(), 1))


def ledger(random: Random, difficulty: Difficulty) -> Puzzle:
    """A simulation: transfers that only happen when covered; then further transfers on the balances left behind."""
    names = invented_words(random, 4, 2)
    scale = 10**difficulty.digits
    balances = {name: random.randrange(scale, 4 * scale) for name in names}
    transfers = [_transfer(random, names, scale) for _ in range(difficulty.rows)]
    later = [_transfer(random, names, scale) for _ in range(2)]
    opening = [f"{name} {balance}" for name, balance in balances.items()]
    lines = [f"{payer} {receiver} {amount}" for payer, receiver, amount in transfers]
    live = dict(balances)
    first_value = _pay(live, transfers)
    first = Ask(
        wordings=(
            "Multiply each final balance by its account's place in the list (from 1) and add up: what comes out?",
            "What is the sum of place (1, 2, ...) times final balance over the accounts?",
            "Afterwards, weigh every balance with the account's position, counted from 1. Give the weighted sum.",
            "Give the checksum 1 * first balance + 2 * second balance + ... after all transfers.",
            "Once all is booked, add position (starting at 1) times balance over the accounts.",
        ),
        code="result = pay(transfers)\n",
        value=first_value,
    )
    then_value = _pay(live, later)
    then = Ask(
        wordings=(
            "Now '{a}' pays '{b}' {n} and then '{c}' pays '{d}' {m}, by the same rule. Give the new weighted sum.",
            "Book two more: '{a}' to '{b}' {n}, then '{c}' to '{d}' {m}. What is the weighted sum of balances now?",
            "After further transfers ('{a}' gives '{b}' {n}; '{c}' gives '{d}' {m}), what is the same checksum?",
        ),
        code='result = pay([("$a", "$b", $n), ("$c", "$d", $m)])\n',
        value=then_value,
        parameters=dict(zip("abncdm", [*later[0], *later[1]], strict=True)),
    )
    return Puzzle(
        given=(
            "Accounts (name balance):\n"
            + "\n".join(opening)
            + "\nTransfers in order (payer receiver amount); a transfer"
            " the payer's balance does not cover is left out:\n" + "\n".join(lines)
        ),
        setup=(
            text_block("accounts", opening)
            + text_block("transfer_list", lines)
            + "balances = {name: int(value) for name, value in map(str.split, accounts.splitlines())}\n"
            + "transfers = [(a, b, int(n)) for a, b, n in map(str.split, transfer_list.splitlines())]\n"
            + "def pay(transfers):\n"
            + "    for payer, receiver, amount in transfers:\n"
            + "        if amount <= balances[payer]:\n"
            + "            balances[payer] -= amount\n"
            + "            balances[receiver] += amount\n"
            + "    return sum(i * value for i, value in enumerate(balances.values(), 1))\n"
        ),
        first=first,
        then=then,
    )


def ranking(random: Random, difficulty: Difficulty) -> Puzzle:
    """Sort with ties; then rank again without the low scores. The sorted rows stand in a file between the calls."""
    names = invented_words(random, difficulty.rows, 2)
    rows = [(name, random.randrange(20, 60), number(random, difficulty.digits)) for name in names]
    lines = [f"{name};{score};{badge}" for name, score, badge in rows]

    def ranked(least: int) -> int:
        kept = sorted((-score, name, badge) for name, score, badge in rows if score >= least)
        return sum(rank * badge for rank, (_, _, badge) in enumerate(kept, 1))

    least = sorted(score for _, score, _ in rows)[len(rows) // 3]
    first = Ask(
        wordings=(
            "Rank by score, highest first, ties by name from a to z. What is the sum of rank times badge?",
            "Order them by falling score and, at equal score, by name. Add up rank * badge (best rank is 1).",
            "With rank 1 for the highest score (equal scores: alphabetical), sum the products of rank and badge.",
            "Sort by score downwards, then name upwards; give the total of position (from 1) times badge.",
            "What do you get by multiplying each badge with its rank (top score = 1, ties alphabetical) and adding up?",
        ),
        code=(
            "rows.sort(key=lambda row: (-int(row[1]), row[0]))\n"
            'open("ranked.csv", "w").write("\\n".join(map(",".join, rows)))\n'
            "result = sum(rank * int(row[2]) for rank, row in enumerate(rows, 1))\n"
        ),
        value=ranked(0),
    )
    then = Ask(
        wordings=(
            "Strike out everybody with a score below {least}, rank the rest again, and give the same sum.",
            "Only scores of {least} or more stay in. What is the sum of new rank times badge?",
            "Drop scores under {least}; with ranks counted afresh, what is the sum of rank times badge?",
        ),
        code=(
            'kept = [line.split(",") for line in open("ranked.csv")]\n'
            "kept = [row for row in kept if int(row[1]) >= $least]\n"
            "result = sum(rank * int(row[2]) for rank, row in enumerate(kept, 1))\n"
        ),
        value=ranked(least),
        parameters={"least": least},
    )
    return Puzzle(
        given="Players as name;score;badge:\n" + "\n".join(lines),
        setup=text_block("table", lines) + 'rows = [line.split(";") for line in table.splitlines()]\n',
        first=first,
        then=then,
    )


def readings(random: Random, difficulty: Difficulty) -> Puzzle:
    """Largest sum over a sliding window; then over another window, or of the smoothed series."""
    values = [number(random, difficulty.digits) for _ in range(difficulty.rows + 3)]
    width = random.randrange(2, 5)

    def best(size: int) -> int:
        return max(sum(values[start : start + size]) for start in range(len(values) - size + 1))

    factor = random.randrange(11, 100)
    first = Ask(
        wordings=(
            f"What is the largest sum of {width} neighbouring readings, times {factor}?",
            f"Slide a window of {width} over the readings; multiply the greatest window sum by {factor}.",
            f"Take the {width} consecutive readings with the highest total. What is {factor} times that total?",
            f"Find the maximum of the sums of {width} readings in a row and give {factor} times it.",
            f"Which value is {factor} times the biggest total of {width} successive readings?",
        ),
        code=f"result = {factor} * max(sum(v[i:i + {width}]) for i in range(len(v) - {width} + 1))\n",
        value=factor * best(width),
    )
    size, modulus = random.randrange(2, len(values)), random.randrange(1000, 9999)
    then = Ask(
        wordings=(
            "Add up the squares of all sums of {size} neighbouring readings; what remains modulo {modulus}?",
            "Square every window sum of width {size}, add them, and give the remainder after division by {modulus}.",
            "Over all runs of {size} consecutive readings, total the squared run sums, modulo {modulus}.",
        ),
        code="result = sum(sum(v[i:i + $size]) ** 2 for i in range(len(v) - $size + 1)) % $modulus\n",
        value=sum(sum(values[i : i + size]) ** 2 for i in range(len(values) - size + 1)) % modulus,
        parameters={"size": size, "modulus": modulus},
    )
    return Puzzle(
        given="Readings in order: " + " ".join(map(str, values)),
        setup=f'v = [int(n) for n in "{" ".join(map(str, values))}".split()]\n',
        first=first,
        then=then,
    )


KINDS: dict[str, Kind] = {
    "orders": orders,
    "price-list": price_list,
    "ledger": ledger,
    "ranking": ranking,
    "readings": readings,
}
