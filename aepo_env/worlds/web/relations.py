"""Every relation of the generated encyclopaedia, with all its wordings.

    RELATIONS["town.mayor"].nouns          # ("mayor", "head of the council")
    relations_of("town")                   # in a fixed order

To add one: append it here with five sentences or more. Two relations of one kind must not share a label, and no
sentence of one may read as a sentence of another (tests check both).
"""

from functools import cache

from aepo_env.worlds.web.schema import Relation

_FIRST_YEAR, _LAST_YEAR = 1200, 1999
_OLDER = ("was founded earlier", "was founded later")


def _relation(
    name: str,
    target: str,
    nouns: str,
    labels: str,
    *sentences: str,
    limits: tuple[int, int] = (0, 0),
    compare: tuple[str, str] = ("", ""),
    members: str = "",
    skew: float = 1.0,
) -> Relation:
    """One row of the table; nouns and labels are separated by "/"."""
    low, high = (_FIRST_YEAR, _LAST_YEAR) if target == "year" else limits
    return Relation(
        name, target, tuple(nouns.split("/")), tuple(labels.split("/")), sentences, low, high, compare, members, skew
    )


_TABLE = (
    _relation(
        "person.birthplace", "town", "birthplace/place of birth/home town", "Born in/Place of birth",
        "{s} was born in {o}.", "The early years of {s} were spent in {o}.", "{o} is where {s} was born.",
        "{s} came into the world in {o}.", "A house in {o} is shown as the place where {s} was born.",
        "{s} grew up in {o}, the place of birth.",
        members="people born in {o}", skew=1.5,
    ),
    _relation(
        "person.employer", "company", "employer/workplace/paymaster", "Employer/Works for",
        "{s} works for {o}.", "A long career at {o} made {s} known.", "{s} earns a living at {o}.",
        "{o} employs {s}.", "For many years {s} has been on the staff of {o}.",
        members="people who work for {o}", skew=1.5,
    ),
    _relation(
        "person.mentor", "person", "mentor/teacher/early guide", "Mentor/Pupil of",
        "{s} was taught by {o}.", "The mentor of {s} was {o}.", "{s} learned the craft from {o}.",
        "{o} took {s} on as a pupil.", "It was {o} who first guided {s}.",
    ),
    _relation(
        "person.university", "university", "alma mater/place of study/old school", "Studied at/Alma mater",
        "{s} studied at {o}.", "{s} took a degree at {o}.", "{o} counts {s} among its former students.",
        "The student years of {s} passed at {o}.", "{s} is a graduate of {o}.",
        members="people who studied at {o}", skew=1.5,
    ),
    _relation(
        "person.birth_year", "year", "birth year/year of birth", "Birth year/Year of birth",
        "{s} was born in the year {o}.", "The year {o} saw the birth of {s}.",
        "Parish books give {o} for the birth of {s}.",
        "The birth of {s} fell in {o}.", "{s}, a child of the year {o}, was the youngest of the family.",
        compare=("was born earlier", "was born later"),
    ),
    _relation(
        "person.profession", "profession", "profession/trade/occupation", "Profession/Occupation",
        "{s} is a {o} by trade.", "Many know {s} as a {o}.", "{s} made a name as a {o}.",
        "By profession {s} is a {o}.", "Most of the life of {s} was that of a {o}.",
        members="people whose profession is {o}",
    ),
    _relation(
        "town.mayor", "person", "mayor/head of the council/first citizen", "Mayor/Head of the council",
        "{s} is led by {o}.", "The council of {s} is headed by {o}.", "{o} is the mayor of {s}.",
        "The mayor of {s} is called {o}.", "Voters in {s} chose {o} as mayor.",
    ),
    _relation(
        "town.region", "region", "region/home region", "Region/Part of",
        "{s} lies in {o}.", "{s} belongs to {o}.", "{s} is one of the towns of {o}.",
        "On the map {s} is found within {o}.", "The roads of {s} are kept up by {o}.",
        members="towns in {o}", skew=1.5,
    ),
    _relation(
        "town.founding_year", "year", "founding year/year of foundation", "Founded/Founding year",
        "{s} dates back to {o}.", "First houses of {s} were built in {o}.", "{s} was founded in {o}.",
        "The oldest charter of {s} is from {o}.", "Settlers laid out {s} in {o}.",
        compare=_OLDER,
    ),
    _relation(
        "town.population", "number", "population/number of inhabitants", "Population/Inhabitants",
        "{s} has {o} inhabitants.", "{o} people live in {s}.", "The last census counted {o} people in {s}.",
        "The population of {s} is {o}.", "{s} is home to {o} people.",
        limits=(900, 980_000), compare=("has the smaller population", "has the larger population"),
    ),
    _relation(
        "town.export", "goods", "main export/chief export", "Main export/Known for",
        "{s} sells {o}.", "Markets of {s} live from {o}.", "The main export of {s} is {o}.",
        "Traders come to {s} for its {o}.", "Most workshops in {s} turn out {o}.",
        members="towns whose main export is {o}",
    ),
    _relation(
        "region.capital", "town", "capital/seat of government", "Capital/Seat of government",
        "{s} is governed from {o}.", "The capital of {s} is {o}.", "{o} is the capital of {s}.",
        "The parliament of {s} meets in {o}.", "The government of {s} sits in {o}.",
    ),
    _relation(
        "region.governor", "person", "governor/head of government", "Governor/Head of government",
        "{s} is ruled by {o}.", "The governor of {s} is {o}.", "{o} governs {s}.",
        "{o} holds the office of governor in {s}.", "Power in {s} lies with {o}.",
    ),
    _relation(
        "region.area", "number", "area in square kilometres/size in square kilometres",
        "Area (square kilometres)/Size (square kilometres)",
        "{s} covers {o} square kilometres.", "The area of {s} is {o} square kilometres.",
        "{s} spreads over {o} square kilometres.", "Surveyors give {o} square kilometres for {s}.",
        "Some {o} square kilometres belong to {s}.",
        limits=(200, 98_000), compare=("has the smaller area", "has the larger area"),
    ),
    _relation(
        "region.emblem", "emblem", "emblem animal/animal on the flag", "Emblem animal/Animal on the flag",
        "The flag of {s} shows a {o}.", "The emblem of {s} is the {o}.", "A {o} stands on the coat of arms of {s}.",
        "{s} chose the {o} as its emblem.", "On coins of {s} one sees a {o}.",
    ),
    _relation(
        "company.founder", "person", "founder/first owner", "Founder/Founded by",
        "{s} was started by {o}.", "{o} opened {s}.", "{s} was founded by {o}.",
        "The first owner of {s} was {o}.", "{o} put all savings into {s} and so began it.",
    ),
    _relation(
        "company.headquarters", "town", "seat/headquarters/head office", "Seat/Headquarters",
        "{s} has its offices in {o}.", "Letters to {s} go to {o}.", "The seat of {s} is {o}.",
        "{s} is run from {o}.", "The headquarters of {s} are in {o}.",
        members="companies with their seat in {o}", skew=1.5,
    ),
    _relation(
        "company.founding_year", "year", "founding year/year of foundation", "Founded/Founding year",
        "{s} was founded in {o}.", "{s} has been in business since {o}.", "The first books of {s} are from {o}.",
        "{s} opened its doors in {o}.", "The history of {s} begins in {o}.",
        compare=_OLDER,
    ),
    _relation(
        "company.employees", "number", "number of employees/size of the staff", "Employees/Staff",
        "{s} employs {o} people.", "{o} people work for {s}.", "The staff of {s} numbers {o}.",
        "{s} has {o} employees.", "The payroll of {s} holds {o} names.",
        limits=(25, 88_000), compare=("has fewer employees", "has more employees"),
    ),
    _relation(
        "company.product", "goods", "main product/best-known product", "Product/Makes",
        "{s} makes {o}.", "{s} is known for {o}.", "The main product of {s} is {o}.",
        "Customers buy {o} from {s}.", "The name of {s} stands for {o}.",
        members="companies whose main product is {o}",
    ),
    _relation(
        "university.town", "town", "location/home town", "Location/Seat",
        "{s} stands in {o}.", "The campus of {s} is in {o}.", "{s} is a school of higher learning in {o}.",
        "Students of {s} live in {o}.", "{o} is the seat of {s}.",
    ),
    _relation(
        "university.rector", "person", "rector/head", "Rector/Head",
        "{s} is headed by {o}.", "The rector of {s} is {o}.", "{o} presides over {s}.",
        "{o} was elected rector of {s}.", "The senate of {s} is chaired by {o}.",
    ),
    _relation(
        "university.founding_year", "year", "founding year/year of foundation", "Founded/Founding year",
        "{s} was founded in {o}.", "{s} first took students in {o}.", "The charter of {s} was sealed in {o}.",
        "Teaching at {s} began in {o}.", "{s} goes back to a bequest of {o}.",
        compare=_OLDER,
    ),
    _relation(
        "university.students", "number", "number of students/student body", "Students/Enrolment",
        "{s} has {o} students.", "{o} students are enrolled at {s}.", "The student body of {s} numbers {o}.",
        "Lectures at {s} are open to {o} students.", "{s} teaches {o} students.",
        limits=(150, 64_000), compare=("has fewer students", "has more students"),
    ),
    _relation(
        "film.director", "person", "director/maker", "Director/Directed by",
        "{s} was made by {o}.", "{o} stood behind the camera for {s}.", "{s} was directed by {o}.",
        "The director of {s} is {o}.", "{o} shot {s} in one summer.",
        members="films directed by {o}", skew=2.0,
    ),
    _relation(
        "film.star", "person", "star/leading actor", "Star/Leading role",
        "The main role in {s} went to {o}.", "{o} acts in {s}.", "{s} stars {o}.",
        "{o} plays the lead in {s}.", "The poster of {s} shows {o}.",
    ),
    _relation(
        "film.setting", "town", "setting/place of action", "Setting/Set in",
        "{s} plays in {o}.", "The story of {s} unfolds in {o}.", "{s} is set in {o}.",
        "{o} is the scene of {s}.", "All of {s} takes place in {o}.",
        members="films set in {o}", skew=1.5,
    ),
    _relation(
        "film.release_year", "year", "release year/year of release", "Released/Release year",
        "{s} was released in {o}.", "{s} reached the screens in {o}.", "{s} came out in {o}.",
        "The first showing of {s} was in {o}.", "Audiences first saw {s} in {o}.",
        compare=("was released earlier", "was released later"),
    ),
    _relation(
        "film.minutes", "number", "running time in minutes/length in minutes",
        "Running time (minutes)/Length (minutes)",
        "{s} runs for {o} minutes.", "{s} lasts {o} minutes.", "The running time of {s} is {o} minutes.",
        "Viewers of {s} sit for {o} minutes.", "The final cut of {s} is {o} minutes long.",
        limits=(61, 480), compare=("has the shorter running time", "has the longer running time"),
    ),
    _relation(
        "novel.author", "person", "author/writer", "Author/Written by",
        "{s} was written by {o}.", "{o} wrote {s}.", "The author of {s} is {o}.",
        "{s} came from the pen of {o}.", "{o} finished {s} after a long illness.",
        members="novels written by {o}", skew=2.0,
    ),
    _relation(
        "novel.publisher", "company", "publisher/publishing house", "Publisher/Published by",
        "{s} was published by {o}.", "{o} brought out {s}.", "The publisher of {s} is {o}.",
        "{o} holds the rights to {s}.", "{s} was printed and sold by {o}.",
        members="novels published by {o}", skew=1.5,
    ),
    _relation(
        "novel.publication_year", "year", "publication year/year of publication", "Published/Publication year",
        "{s} was published in {o}.", "{s} came out in {o}.", "{s} reached readers in {o}.",
        "The first edition of {s} is from {o}.", "Shops first sold {s} in {o}.",
        compare=("was published earlier", "was published later"),
    ),
    _relation(
        "novel.pages", "number", "number of pages/page count", "Pages/Number of pages",
        "{s} has {o} pages.", "{s} fills {o} pages.", "The first edition of {s} runs to {o} pages.",
        "Readers of {s} turn {o} pages.", "{s} is {o} pages long.",
        limits=(90, 1900), compare=("has fewer pages", "has more pages"),
    ),
    _relation(
        "novel.setting", "town", "setting/place of action", "Setting/Set in",
        "{s} is set in {o}.", "The plot of {s} unfolds in {o}.", "{o} is the scene of {s}.",
        "The heroes of {s} live in {o}.", "{s} tells of daily life in {o}.",
        members="novels set in {o}", skew=1.5,
    ),
    _relation(
        "ship.builder", "company", "builder/shipyard", "Builder/Built by",
        "{s} was built by {o}.", "{o} built {s}.", "The builder of {s} was {o}.",
        "{s} left the yard of {o}.", "The hull of {s} was laid down by {o}.",
        members="ships built by {o}", skew=1.5,
    ),
    _relation(
        "ship.captain", "person", "captain/commander", "Captain/Commander",
        "{s} is commanded by {o}.", "The captain of {s} is {o}.", "{o} commands {s}.",
        "{o} stands on the bridge of {s}.", "The crew of {s} obeys {o}.",
    ),
    _relation(
        "ship.port", "town", "home port/port of registry", "Home port/Port of registry",
        "{s} sails from {o}.", "The home port of {s} is {o}.", "{s} is registered in {o}.",
        "{o} is the home port of {s}.", "Between voyages {s} lies at {o}.",
        members="ships with their home port in {o}", skew=1.5,
    ),
    _relation(
        "ship.launch_year", "year", "launch year/year of launch", "Launched/Launch year",
        "{s} was launched in {o}.", "{s} first touched water in {o}.", "The launch of {s} took place in {o}.",
        "{s} has been at sea since {o}.", "A crowd watched the launch of {s} in {o}.",
        compare=("was launched earlier", "was launched later"),
    ),
    _relation(
        "ship.crew", "number", "crew size/number of crew", "Crew/Crew size",
        "{s} carries a crew of {o}.", "{o} sailors serve on {s}.", "The crew of {s} numbers {o}.",
        "{s} needs {o} hands.", "{s} puts to sea with {o} sailors.",
        limits=(11, 1400), compare=("has the smaller crew", "has the larger crew"),
    ),
)  # fmt: skip

RELATIONS: dict[str, Relation] = {relation.id: relation for relation in _TABLE}


@cache
def relations_of(kind: str) -> tuple[Relation, ...]:
    """The relations that entities of `kind` have, in the table's order."""
    return tuple(relation for relation in _TABLE if relation.kind == kind)
