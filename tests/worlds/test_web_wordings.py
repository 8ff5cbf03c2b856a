"""The table of relations: enough of everything, and no sentence that could mean two things."""

from collections import Counter

import pytest

from aepo_env.worlds.web.difficulty import LAYOUTS, PRESETS
from aepo_env.worlds.web.pages import DISTRACTORS, fill
from aepo_env.worlds.web.phrases import ARITHMETIC, COMPARISON, COUNTING, LOOKUP
from aepo_env.worlds.web.reading import read_value
from aepo_env.worlds.web.relations import RELATIONS, relations_of
from aepo_env.worlds.web.schema import KINDS, WORDS

VALUES = {"year": "1712", "number": "4321"} | {pool: words[0] for pool, words in WORDS.items()}


def example(relation):
    return VALUES.get(relation.target, "Kelda Norim")


def test_there_is_enough_of_everything():
    assert len(KINDS) >= 6
    assert len(RELATIONS) >= 20
    assert {"year", "number"} <= {relation.target for relation in RELATIONS.values()}
    assert any(relation.target in WORDS for relation in RELATIONS.values())
    assert len(LAYOUTS) >= 4
    assert len(PRESETS["medium"].used_relations()) == len(RELATIONS)


@pytest.mark.parametrize("relation", RELATIONS.values(), ids=RELATIONS)
def test_five_wordings_in_pages(relation):
    assert len(set(relation.sentences)) >= 5
    for sentence in relation.sentences:
        assert sentence.count("{s}") == sentence.count("{o}") == 1
        assert sentence.endswith(".")


@pytest.mark.parametrize("forms", [LOOKUP, COMPARISON, COUNTING, *(forms for _, forms in ARITHMETIC.values())])
def test_five_wordings_of_every_question_form(forms):
    assert len(set(forms)) >= 5


@pytest.mark.parametrize("relation", RELATIONS.values(), ids=RELATIONS)
@pytest.mark.parametrize("short", [False, True])
def test_a_sentence_says_its_own_fact_and_no_other(relation, short):
    title = "Sotra Palen"
    subject = KINDS[relation.kind].shorts[0].format(last="Palen") if short else title
    for template in relation.sentences:
        sentence = "".join(fill(template, subject, example(relation)))
        page = f"{title}\n{title} is a {KINDS[relation.kind].noun}. {sentence} Readers know it."
        read = {other.id: read_value(page, other.id, title) for other in relations_of(relation.kind)}
        assert {name: value for name, value in read.items() if value is not None} == {relation.id: example(relation)}


@pytest.mark.parametrize("relation", RELATIONS.values(), ids=RELATIONS)
def test_a_fact_of_a_neighbour_is_not_taken_for_the_subjects(relation):
    for neighbour in ("Sotra Palen of Merin", "Port Sotra Palen", "Sotra Palen II", "Kima Palen", "Palenu"):
        for template in relation.sentences:
            sentence = "".join(fill(template, neighbour, example(relation)))
            assert read_value(f"Sotra Palen\nIt is so. {sentence}", relation.id, "Sotra Palen") is None


def test_labels_of_one_kind_are_distinct():
    for kind in KINDS:
        labels = Counter(label for relation in relations_of(kind) for label in relation.labels)
        assert max(labels.values()) == 1, labels.most_common(2)


def test_sentences_in_passing_state_no_fact():
    for template in DISTRACTORS:
        text = "Sotra Palen\nSo it is. " + "".join(fill(template, "Sotra Palen", "Kelda Norim"))
        assert all(read_value(text, relation, "Sotra Palen") is None for relation in RELATIONS)


def test_a_sentence_cut_off_in_a_snippet_is_not_read():
    assert read_value("… Tol opened Keld Works. More", "company.founder", "Keld Works", snippet=True) is None
    assert read_value("Yes. Keld Works was founded by Mira…", "company.founder", "Keld Works", snippet=True) is None
    whole = "… yes. Mira Tol opened Keld Works. More"
    assert read_value(whole, "company.founder", "Keld Works", snippet=True) == "Mira Tol"


@pytest.mark.parametrize("relation", RELATIONS.values(), ids=RELATIONS)
def test_rows_are_read_from_a_snippet_where_they_end_for_certain(relation):
    title, noun = "Sotra Palen", KINDS[relation.kind].noun
    other = next(one for one in relations_of(relation.kind) if one is not relation)
    for label in relation.labels:
        row = f"{label}: {example(relation)}"
        for after in (f" {other.labels[0]}: x", f" - {other.labels[0]}: x", f" {title} is a {noun}.", " ## Notes", ""):
            assert read_value(f"It is so. {row}{after}", relation.id, title, snippet=True) == example(relation)
        assert read_value(f"It is so. {row}…", relation.id, title, snippet=True) is None
        if relation.leads_to_entity:
            assert read_value(f"It is so. {row} of the Note: x", relation.id, title, snippet=True) is None


def test_no_label_ends_with_another_of_its_kind():
    """A snippet may begin in the middle of a label."""
    for kind in KINDS:
        labels = [label for relation in relations_of(kind) for label in relation.labels]
        assert not [(a, b) for a in labels for b in labels if a != b and a.endswith(f" {b}")]


def test_nouns_of_one_kind_are_distinct():
    for kind in KINDS:
        nouns = Counter(noun for relation in relations_of(kind) for noun in relation.nouns)
        assert max(nouns.values()) == 1, nouns.most_common(2)
