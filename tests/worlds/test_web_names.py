"""Names: splits never meet, namesakes are many, titles are unique."""

import random
import re
from collections import Counter

import pytest

from aepo_env.search.words import title_key
from aepo_env.worlds.web.difficulty import PRESETS
from aepo_env.worlds.web.names import SHARED_WORDS, Namer, name_word, slug, split_of
from aepo_env.worlds.world import SPLITS
from tests.worlds.web_help import graph, pages


def name_words(split: str) -> set[str]:
    world = graph("hard", split)
    text = " ".join([*world.titles, *world.aliases.values()])
    return {word.lower() for word in re.findall(r"[A-Za-z]+", text)} - SHARED_WORDS


def test_splits_share_no_name_and_no_name_word():
    words = {split: name_words(split) for split in SPLITS}
    assert all(len(found) > 200 for found in words.values())
    for one in SPLITS:
        for other in SPLITS:
            assert one == other or not words[one] & words[other]


def test_every_name_word_on_pages_belongs_to_its_split():
    """Dead links and sentences in passing bring names too: nothing capitalised in an article may be foreign."""
    for split in SPLITS:
        text = " ".join(
            re.sub(r"<[^>]+>", " ", page.html.partition("<h1>")[2]) for page in pages("hard", split).values()
        )
        frequent = Counter(re.findall(r"\b[A-Z][a-z]{3,}\b", text))
        foreign = {word for word in frequent if split_of(word) != split}
        # What is left must be the vocabulary of sentences and labels, the same in every split.
        vocabulary = " ".join(
            re.sub(r"<[^>]+>", " ", page.html)
            for page in pages("hard", "train" if split != "train" else "dev").values()
        )
        assert not {word for word in foreign if word not in vocabulary}


def test_a_word_has_one_split_whatever_the_seed():
    for split in SPLITS:
        for seed in range(3):
            rng = random.Random(f"{seed}")
            assert all(split_of(name_word(rng, split, 2)) == split for _ in range(200))


@pytest.mark.parametrize("difficulty", list(PRESETS))
def test_titles_are_unique_also_as_addresses(difficulty):
    titles = graph(difficulty).titles
    assert len({slug(title) for title in titles}) == len(titles)


@pytest.mark.parametrize("split", SPLITS)
def test_no_two_names_are_the_same_but_for_signs(split):
    """A reward could not tell "Keld Mill II" from "Keld Mill (II)"."""
    world = graph("hard", split, pages=2500)
    names = [title_key(name) for name in (*world.titles, *world.aliases.values())]
    assert [name for name, count in Counter(names).items() if count > 1] == []


@pytest.mark.parametrize("difficulty", list(PRESETS))
def test_a_fifth_of_all_entities_have_a_near_namesake(difficulty):
    """Counted from the names themselves: the same but for one word, one letter, a numeral or an addition."""
    titles = graph(difficulty, pages=1000).titles
    keys = Counter(key for title in titles for key in near_keys(title))
    share = sum(any(keys[key] > 1 for key in near_keys(title)) for title in titles) / len(titles)
    assert share >= 0.2


def near_keys(title: str) -> set[str]:
    """Two names sharing one of these differ by a letter, a numeral, or "of ...", or share their rarest word."""
    words = [word for word in re.findall(r"[A-Za-z]+", title) if word.lower() not in SHARED_WORDS]
    bare = re.sub(r" of [A-Z]\w+$| \(?[IVX]+\)?$", "", title)
    last = words[1] if len(words) > 1 else words[0]
    return {bare, f"word {last}"} | {f"{last[:i]}*{last[i + 1 :]}" for i in range(len(last))}


def test_every_way_of_being_alike_is_there():
    titles = set(graph("hard", pages=2500).titles)
    assert any(f"{title} II" in titles for title in titles)
    assert any(title.endswith(" (II)") for title in titles)
    assert any(re.sub(r" of \w+$", "", title) in titles for title in titles if " of " in title)
    surnames = Counter(title.split()[1] for title in titles if re.fullmatch(r"[A-Z][a-z]+ [A-Z][a-z]+", title))
    assert surnames.most_common(1)[0][1] > 1


def test_a_namer_never_repeats_itself_even_when_short_names_run_out():
    namer = Namer(random.Random("x"), "dev", PRESETS["tiny"])
    names = [namer.title("town") for _ in range(4000)]
    assert len(set(names)) == len(names)
