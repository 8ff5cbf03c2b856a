"""Plans in words: question, accepted answers, and the proof: which page says what, hop by hop.

    task = make_task(plan, seed=0)
    task.metadata["path"]       # [{"page": address, "text": exact string of that page's readable text}, …]

Wording is drawn by seed and plan, so the same question reads the same in every process.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from aepo_env.tasks import Task
from aepo_env.worlds.factbook import lists, site
from aepo_env.worlds.factbook.facts import RELATIONS, load_facts, read_number
from aepo_env.worlds.factbook.naming import MAIN, in_sentence
from aepo_env.worlds.factbook.plans import Plan, Step, computed, neighbours, number, winner
from aepo_env.worlds.factbook.wordings import COMPARED, HOLDER, MOVE, ROUND, WHOLE


def plan_id(plan: Plan) -> str:
    """Unique, and the same in every process."""
    return f"{plan.family}:{hashlib.sha256(repr(tuple(plan)).encode()).hexdigest()[:16]}"


def make_task(plan: Plan, seed: int) -> Task:
    """The plan as a task; `seed` draws the wording. metadata: departure, form, plan (for the oracle) and path."""
    proof = _Proof()
    question, answers = _Words(plan, seed).question(), _answers(plan, proof)
    metadata: dict[str, Any] = {
        "departure": plan.departure,
        "form": plan.form,
        "plan": _open_plan(plan),
        "path": [{"page": page, "text": text} for page, text in dict.fromkeys(proof.steps)],
    }
    return Task(plan_id(plan), question, answers, plan.family, metadata)


def _open_plan(plan: Plan) -> dict[str, Any]:
    """What the oracle may know: what the question names, and in which order to ask for what. No value it must find."""
    facts, start = load_facts(), plan.chain[0]
    named = facts[start.code].title
    if start.kind == "holder":
        named = facts[start.code].values[start.detail].answers[0]
    elif start.kind == "rank":
        named = str(lists.region_ranking(start.detail).index(start.code) + 1)
    other = facts[plan.other].title if plan.other else ""
    moves = [step.kind for step in plan.chain[1:]]
    known = {"kind": start.kind, "detail": start.detail, "named": named, "moves": moves, "other": other}
    return known | {"ask": plan.ask, "by": plan.by, "most": plan.most}


# --------------------------------------------------------------------------------------------- words


class _Words:
    """Draws one wording after the other for one plan."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self._plan = plan
        self._stream = hashlib.sha256(f"{seed} {plan_id(plan)}".encode()).digest()
        self._drawn = 0

    def _one(self, wordings: Sequence[str]) -> str:
        byte = self._stream[self._drawn % len(self._stream)]
        self._drawn += 1
        return wordings[byte % len(wordings)]

    def question(self) -> str:
        plan = self._plan
        text = (
            self._whole() if plan.form in WHOLE else self._one(RELATIONS[plan.ask].asks).format(x=self._asked_place())
        )
        return text[0].upper() + text[1:]

    def _whole(self) -> str:
        plan, facts = self._plan, load_facts()
        x = self._place(plan.chain[:1])
        y = self._place(plan.chain) if len(plan.chain) > 1 else ""
        if plan.other:
            y = in_sentence(facts[plan.other].title)
        words = COMPARED.get(plan.by)
        than, noun = (words[1][0 if plan.most else 1], words[2]) if words else ("", "")
        return self._one(WHOLE[plan.form]).format(x=x, y=y, than=than, noun=noun, round=ROUND.get(plan.form, ""))

    def _asked_place(self) -> str:
        plan = self._plan
        if plan.form == "chain":
            return self._place(plan.chain)
        x, best = self._place(plan.chain), COMPARED[plan.by][0][0 if plan.most else 1]
        if plan.form == "neighbours":
            return self._one(
                ("the place with {b} among those that border {x} by land", "whichever land neighbour of {x} has {b}")
            ).format(x=x, b=best)
        y, more = in_sentence(load_facts()[plan.other].title), COMPARED[plan.by][1][0 if plan.most else 1]
        return self._one(("whichever of {x} and {y} has {m}", "the one of {x} and {y} that has {m}")).format(
            x=x, y=y, m=more
        )

    def _place(self, chain: Sequence[Step]) -> str:
        """A chain in words: "the only place that borders the country or territory whose capital is Paris by land"."""
        *before, last = chain
        if last.kind in MOVE:
            return self._one(MOVE[last.kind]).format(x=self._place(before))
        place = load_facts()[last.code]
        if last.kind == "holder":
            return self._one(HOLDER[last.detail]).format(v=place.values[last.detail].answers[0])
        if last.kind == "rank":
            rank, region = lists.region_ranking(last.detail).index(last.code) + 1, last.detail
            nth = "" if rank == 1 else f"{_ordinal(rank)} "
            return self._one(
                (
                    "the {n}largest place by total area that the Factbook lists under {r}",
                    "the place with the {n}largest total area among those that the Factbook lists under {r}",
                )
            ).format(n=nth, r=region)
        return in_sentence(place.title)


def _ordinal(number: int) -> str:
    words = "second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
    return words.split()[number - 2]


# --------------------------------------------------------------------------------------- answers, proof


class _Proof:
    """Collects (page, text) in the order in which a reader would meet them."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []

    def fact(self, code: str, relation: str) -> None:
        known, fact = RELATIONS[relation], load_facts()[code].values[relation]
        self.steps.append((site.place_address(code, known.section), site.shown(known.label, fact.text)))

    def borders(self, code: str) -> None:
        text = site.borders_text(load_facts()[code])
        self.steps.append((site.place_address(code), site.shown(site.BORDERS_LABEL, text)))

    def chain(self, chain: Sequence[Step]) -> None:
        before = ""
        for step in chain:
            if step.kind == "holder":
                self.fact(step.code, step.detail)
            elif step.kind == "rank":
                rank, fact = lists.region_ranking(step.detail).index(step.code) + 1, load_facts()[step.code]
                text = site.row(str(rank), fact.title, fact.values["area"].text)
                self.steps.append((site.list_address(lists.region_ranking_title(step.detail)), text))
            elif step.kind != "name":
                self.borders(before)
            before = step.code


def _answers(plan: Plan, proof: _Proof) -> tuple[str, ...]:
    """The accepted answers, with their proof written into `proof`."""
    proof.chain(plan.chain)
    code = plan.chain[-1].code
    if plan.form == "chain":
        return _told(code, plan.ask, proof)
    if plan.form in ("neighbours", "pair"):
        if plan.form == "neighbours":
            proof.borders(code)
        codes = neighbours(code) if plan.form == "neighbours" else [code, plan.other]
        for each in codes:
            proof.fact(each, plan.by)
        return _told(winner(codes, plan.by, plan.most), plan.ask, proof)
    if plan.form.startswith("count_"):
        return (str(_counted(plan, code, proof)),)
    _prove_sum(plan, proof)
    figure = read_number(computed(plan))
    assert figure is not None, plan
    return figure.answers


def _told(code: str, ask: str, proof: _Proof) -> tuple[str, ...]:
    proof.fact(code, ask)
    return load_facts()[code].values[ask].answers


def _counted(plan: Plan, code: str, proof: _Proof) -> int:
    place = load_facts()[code]
    if plan.form == "count_borders":
        proof.borders(code)
        return len(neighbours(code))
    if plan.form == "count_neighbours":
        proof.borders(code)
        own = number(code, plan.by) or 0.0
        for each in (code, *neighbours(code)):
            proof.fact(each, plan.by)
        figures = [number(each, plan.by) or 0.0 for each in neighbours(code)]
        return sum(figure > own if plan.most else figure < own for figure in figures)
    if plan.form == "count_currency":
        proof.fact(code, "currency")
        users = lists.currency_users(place.values["currency"].answers[0])
        page = site.list_address(lists.currency_title(place.values["currency"].answers[0]))
        proof.steps += [(page, site.row(*lists.currency_row(load_facts()[user]))) for user in users]
        return len(users)
    proof.steps.append((site.place_address(code, MAIN), site.shown("Region", place.region)))
    page, own = site.list_address(lists.region_title(place.region)), number(code, "population") or 0.0
    ahead = [each for each in lists.region_places(place.region) if (number(each, "population") or 0.0) > own]
    proof.steps += [(page, site.row(*lists.region_row(load_facts()[each]))) for each in (code, *ahead)]
    return len(ahead)


def _prove_sum(plan: Plan, proof: _Proof) -> None:
    code = plan.chain[0].code
    if plan.form in ("border_share", "sum_neighbours"):
        proof.borders(code)
    if plan.form == "sum_neighbours":
        for each in neighbours(code):
            proof.fact(each, plan.by)
    elif plan.form != "border_share":
        for each in (code, plan.other or plan.chain[-1].code):
            for relation in ("area", "population") if plan.form == "density_difference" else (plan.by,):
                proof.fact(each, relation)
