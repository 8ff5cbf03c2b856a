"""Puzzles of the family "code/dates": gaps, working days, recurring dates, shifts, calendar sums."""

from datetime import date, datetime, timedelta
from random import Random

from aepo_env.worlds.code.difficulty import Difficulty
from aepo_env.worlds.code.puzzle import Ask, Kind, Puzzle, text_block

FIRST_DAY = date(1900, 1, 1).toordinal()
DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _day(random: Random, years: int = 200) -> date:
    """A day within so many years from 1900 on."""
    return date.fromordinal(FIRST_DAY + random.randrange(years * 365))


def gaps(random: Random, difficulty: Difficulty) -> Puzzle:
    """Days between dates as listed; then a date counted from one of them."""
    days = [_day(random) for _ in range(difficulty.rows)]
    shown = " ".join(day.isoformat() for day in days)
    numbers = [day.toordinal() for day in days]
    first = Ask(
        wordings=(
            "Going from each date to the next one in the list, how many days lie between in all (always positive)?",
            "Add up the absolute differences in days between neighbouring dates of the list.",
            "How many days is the whole tour through these dates, in the order given, forwards or backwards alike?",
            "What is the sum of the distances in days between each date and its follower?",
            "Take the gap in days between every two consecutive entries, without sign, and add the gaps up.",
        ),
        code="result = sum(abs((b - a).days) for a, b in zip(days, days[1:]))\n",
        value=sum(abs(numbers[i + 1] - numbers[i]) for i in range(len(numbers) - 1)),
    )
    place, later = random.randrange(1, len(days) + 1), random.randrange(100, 9999)
    then = Ask(
        wordings=(
            "Sort the dates, earliest first. Take number {place} and go {later} days forward: which date is that"
            " (YYYY-MM-DD)?",
            "Counting from the earliest, take date number {place}; give the date {later} days after it as YYYY-MM-DD.",
            "In order of time, go to the entry at place {place} and add {later} days. Write the date as YYYY-MM-DD.",
        ),
        code="import datetime\nresult = sorted(days)[$place - 1] + datetime.timedelta(days=$later)\n",
        value=date.fromordinal(sorted(numbers)[place - 1] + later).isoformat(),
        parameters={"place": place, "later": later},
    )
    return Puzzle(
        given=f"Dates: {shown}",
        setup=f'from datetime import date\ndays = [date.fromisoformat(d) for d in "{shown}".split()]\n',
        first=first,
        then=then,
    )


def working_days(random: Random, difficulty: Difficulty) -> Puzzle:
    """Working days between two dates without holidays; then the n-th of them, or a sum over them."""
    start = _day(random)
    length = random.randrange(100, 100 * 3**difficulty.digits)
    end = start + timedelta(days=length)
    free = {start + timedelta(days=random.randrange(length)) for _ in range(difficulty.rows)}
    holidays = sorted(free)
    working = [
        day
        for day in (date.fromordinal(start.toordinal() + offset) for offset in range(length + 1))
        if day.isoweekday() <= 5 and day not in free
    ]
    first = Ask(
        wordings=(
            "How many working days (Monday to Friday, holidays left out) are there, both ends included?",
            "Count the days from Monday to Friday in the period, ends included, that are not holidays.",
            "Without weekends and holidays, how many days does the period have (first and last day count)?",
            "What is the number of working days in the period, counting both its first and its last day?",
            "On how many days of the period, ends included, is there work (no Saturday, Sunday or holiday)?",
        ),
        code="result = len(working)\n",
        value=len(working),
    )
    if random.random() < 0.5:
        place = random.randrange(1, len(working) + 1)
        then = Ask(
            wordings=(
                "Which date (YYYY-MM-DD) is working day number {place} of the period?",
                "Counting its working days from the first, on what date falls number {place}? Write YYYY-MM-DD.",
                "Give the working day at place {place}, the first being 1, as YYYY-MM-DD.",
            ),
            code="result = working[$place - 1]\n",
            value=working[place - 1].isoformat(),
            parameters={"place": place},
        )
    else:
        every = random.randrange(3, 9)
        then = Ask(
            wordings=(
                "Take each working day whose day of the month {every} divides; what do those days of the month sum to?",
                "Add up the days of the month, over the working days, that are multiples of {every}.",
                "Among the working days keep those with a day of the month divisible by {every}; total these numbers.",
            ),
            code="result = sum(d.day for d in working if d.day % $every == 0)\n",
            value=sum(day.day for day in working if not day.day % every),
            parameters={"every": every},
        )
    return Puzzle(
        given=f"Period: {start} to {end}. Holidays: {', '.join(map(str, holidays))}.",
        setup=(
            "from datetime import date, timedelta\n"
            f'start, end = date.fromisoformat("{start}"), date.fromisoformat("{end}")\n'
            f'holidays = "{" ".join(map(str, holidays))}".split()\n'
            "period = [start + timedelta(days=i) for i in range((end - start).days + 1)]\n"
            "working = [d for d in period if d.weekday() < 5 and str(d) not in holidays]\n"
        ),
        first=first,
        then=then,
    )


def recurring(random: Random, difficulty: Difficulty) -> Puzzle:
    """An endless timetable as an iterator; then the services after those already taken from it."""
    start, step, taken = _day(random), random.randrange(9, 90), random.randrange(5, 10 * difficulty.rows)

    def service(index: int) -> date:
        return date.fromordinal(start.toordinal() + index * step)

    first = Ask(
        wordings=(
            f"Over the first {taken} services, what is the sum of day of the month times month?",
            f"For each of the first {taken} services multiply day and month of its date; add the products.",
            f"Take {taken} services from the beginning. What do day * month of their dates sum to?",
            f"What is the total of (day of the month) * (month) for services 1 to {taken}?",
            f"Multiply day by month for every one of the {taken} earliest services and give the sum.",
        ),
        code=f"result = sum(d.day * d.month for d in (next(services) for _ in range({taken})))\n",
        value=sum(service(index).day * service(index).month for index in range(taken)),
    )
    more = random.randrange(3, 10 * difficulty.rows)
    if random.random() < 0.5:
        then = Ask(
            wordings=(
                "Go on with the services after those. What is the date (YYYY-MM-DD) of number {more} of the next ones?",
                "On what date, as YYYY-MM-DD, is the service that comes {more} services after the last one taken?",
                "Move on by {more} services from the last one used; write its date as YYYY-MM-DD.",
            ),
            code="result = [next(services) for _ in range($more)][-1]\n",
            value=service(taken + more - 1).isoformat(),
            parameters={"more": more},
        )
    else:
        then = Ask(
            wordings=(
                "For the next {more} services after those, what is the sum of day of the month times month?",
                "Take {more} further services, following those already taken, and add up day times month.",
                "Continue with the following {more} services: what do their products of day and month sum to?",
            ),
            code="result = sum(d.day * d.month for d in (next(services) for _ in range($more)))\n",
            value=sum(service(index).day * service(index).month for index in range(taken, taken + more)),
            parameters={"more": more},
        )
    return Puzzle(
        given=f"A ship is serviced on {start} (service 1) and then again every {step} days.",
        setup=(
            "from datetime import date, timedelta\n"
            "def every(day, step):\n"
            "    while True:\n"
            "        yield day\n"
            "        day += timedelta(days=step)\n"
            f'services = every(date.fromisoformat("{start}"), {step})\n'
        ),
        first=first,
        then=then,
    )


def shifts(random: Random, difficulty: Difficulty) -> Puzzle:
    """Minutes worked in shifts, some over midnight; then the pay with overtime."""
    spans: list[tuple[datetime, int]] = []
    moment = datetime.combine(_day(random), datetime.min.time())
    for _ in range(difficulty.rows + 2):
        moment += timedelta(minutes=random.randrange(600, 3000))
        spans.append((moment, random.randrange(120, 780)))
    lines = [f"{begin:%Y-%m-%d %H:%M} - {begin + timedelta(minutes=length):%Y-%m-%d %H:%M}" for begin, length in spans]
    first = Ask(
        wordings=(
            "How many minutes were worked in all?",
            "Add up the lengths of the shifts in minutes.",
            "What is the total working time, in minutes?",
            "Give the sum of the shift lengths as a number of minutes.",
            "How many minutes do these shifts last together?",
        ),
        code="result = sum(lengths)\n",
        value=sum(length for _, length in spans),
    )
    rate, limit = random.randrange(15, 60), random.randrange(300, 540)
    then = Ask(
        wordings=(
            "A minute earns {rate} cents, and double beyond the first {limit} minutes of a shift. Total in cents?",
            "At {rate} cents a minute, twice that for the part of each shift over {limit} minutes, what is the pay in"
            " cents?",
            "Pay is {rate} cents per minute; minutes past number {limit} of a shift count twice. Total in cents?",
        ),
        code="result = $rate * sum(n + max(0, n - $limit) for n in lengths)\n",
        value=sum(rate * min(n, limit) + 2 * rate * max(n - limit, 0) for _, n in spans),
        parameters={"rate": rate, "limit": limit},
    )
    return Puzzle(
        given="Shifts (begin - end):\n" + "\n".join(lines),
        setup=(
            "from datetime import datetime\n"
            + text_block("shifts", lines)
            + "lengths = []\n"
            + "for line in shifts.splitlines():\n"
            + '    begin, end = map(datetime.fromisoformat, line.split(" - "))\n'
            + "    lengths.append(int((end - begin).total_seconds()) // 60)\n"
        ),
        first=first,
        then=then,
    )


def calendar_days(random: Random, difficulty: Difficulty) -> Puzzle:
    """All days that are a given weekday and day of the month; then for another weekday in the same years."""
    years = 5 * difficulty.digits + random.randrange(20)
    start = random.randrange(1900, 2100)
    number = random.randrange(1, 29)
    weekday, other = random.sample(range(7), 2)
    factor = random.randrange(3, 100)

    def total(day: int) -> int:
        found = 0
        for month in range(12 * years):
            candidate = date(start + month // 12, month % 12 + 1, number)
            if candidate.weekday() == day:
                found += candidate.timetuple().tm_yday
        return found

    name, last = DAY_NAMES[weekday], start + years - 1
    first = Ask(
        wordings=(
            f"Add up the days of the year (1 to 366) of every {name} the {number}.",
            f"For all dates that are a {name} with day of the month {number}, sum their numbers within the year.",
            f"Whenever day {number} of a month is a {name}, note which day of the year it is. What is the sum?",
            f"What is the total of the day-of-year numbers of all {name}s falling on day {number} of a month?",
            f"Find each month whose day {number} is a {name}; add up the position of that day in its year (from 1).",
        ),
        code=f"result = sum(d.timetuple().tm_yday for d in days if d.isoweekday() == {weekday + 1})\n",
        value=total(weekday),
    )
    then = Ask(
        wordings=(
            "Do the same for each '{other}' instead and multiply the sum by {factor}.",
            "What is the sum if '{other}' is the weekday asked for, times {factor}?",
            "Repeat it with '{other}' as the weekday; give the new total times {factor}.",
        ),
        code='result = $factor * sum(d.timetuple().tm_yday for d in days if f"{d:%A}" == "$other")\n',
        value=factor * total(other),
        parameters={"other": DAY_NAMES[other], "factor": factor},
    )
    return Puzzle(
        given=f"Consider the years {start} to {last}, both included.",
        setup=(
            "from datetime import date\n"
            f"days = [date(y, m, {number}) for y in range({start}, {last + 1}) for m in range(1, 13)]\n"
        ),
        first=first,
        then=then,
    )


KINDS: dict[str, Kind] = {
    "gaps": gaps,
    "working-days": working_days,
    "recurring": recurring,
    "shifts": shifts,
    "calendar": calendar_days,
}
