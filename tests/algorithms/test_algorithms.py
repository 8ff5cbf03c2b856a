"""Every algorithm as its file states it: known by its name, needing what it says, different from GRPO where it says."""

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

from algorithms.algorithm import Algorithm
from algorithms.names import NAMES, SEVEN
from algorithms.settings import settings_of, with_setting, with_settings
from algorithms.training import known
from algorithms.training.config import PRESETS, preset
from algorithms.training.known import ALGORITHMS, algorithm, suited
from tests.readme import ROOT

FILES = sorted(
    file
    for file in Path(known.__file__).parents[1].glob("*.py")
    if "VARIANTS" in file.read_text("utf-8") and "Algorithm(" in file.read_text("utf-8")
)
# Relative to GRPO, besides names; what a whole part changes is named by the part.
CHANGES = {
    "aepo": {"rollout", "advantage", "loss"},
    "arpo": {"rollout"},
    "reinforce++": {"advantage", "kl"},
    "reinforce++-baseline": {"advantage", "kl"},
    "dapo": {"loss", "filter", "shaping"},
    "cispo": {"loss", "filter", "shaping"},
    "gppo": {"loss", "filter"},
    "ce-gppo": {"loss", "filter"},
    "gigpo": {"advantage", "kl"},
    "ppo": {"advantage", "critic"},
    "reinforce": {"advantage", "loss", "aggregation", "updates"},
    "rloo": {"advantage", "loss", "aggregation", "kl"},
    "dr-grpo": {"advantage", "aggregation", "constant_length"},
    "gspo": {"loss", "aggregation"},
    "tree-grpo": {"rollout", "advantage", "kl"},
    "empg": {"advantage"},
    "clip-cov": {"loss", "filter"},
    "kl-cov": {"loss", "filter"},
}


def changed(one: Algorithm, other: Algorithm) -> set[str]:
    names = set(vars(one)) - {"name", "paper", "summary"}
    return {name for name in names if getattr(one, name) != getattr(other, name)}


def test_every_file_is_known_under_its_name_and_opens_with_what_it_must() -> None:
    assert tuple(ALGORITHMS) == NAMES
    assert len(NAMES) == len(set(NAMES)) == 19
    for file in FILES:
        said = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
        assert "Source: " in said, file.name
        assert "Settings: " in said, file.name
        assert "elative to GRPO" in said or file.name == "grpo.py", file.name
        assert ("Official: " in said) == ("_OFFICIAL" in file.read_text("utf-8")), file.name
    stems = {name.partition("++")[0] + ("_plus_plus" if "++" in name else "") for name in NAMES}
    assert {file.stem for file in FILES} == {stem.replace("-", "_") for stem in stems}


@pytest.mark.parametrize("name", CHANGES)
def test_it_changes_of_grpo_what_it_says_and_nothing_else(name: str) -> None:
    assert changed(algorithm(name), algorithm("grpo")) == CHANGES[name]
    assert set(CHANGES) | {"grpo"} == set(NAMES)


def test_only_those_that_say_so_need_a_reference_a_critic_or_entropies() -> None:
    needs = {name: set(algorithm(name).needs) for name in NAMES}
    assert {name for name in NAMES if "values" in needs[name]} == {"ppo"}
    with_reference = {"reinforce++", "reinforce++-baseline", "gigpo", "rloo", "tree-grpo"}
    assert {name for name in NAMES if "reference" in needs[name]} == with_reference
    assert {name for name in NAMES if "entropies" in needs[name]} == {"aepo", "empg"}
    assert not any("rescored" in needs[name] for name in NAMES)
    off = with_setting(algorithm("gigpo"), "kl.coefficient", "0")
    assert off.needs == frozenset()
    assert with_setting(algorithm("grpo"), "mismatch.kind", "tis").needs == {"rescored"}
    assert with_settings(algorithm("grpo"), {"kl.coefficient": "0.1"}).needs == {"reference"}


def test_the_docs_have_a_row_for_each_that_names_its_paper_and_what_it_changes() -> None:
    page = (ROOT / "docs" / "algorithms.md").read_text("utf-8")
    rows = {
        line.split("|")[1].partition("]")[0].strip(" [`"): line.split("|")[2:-1]
        for line in page.splitlines()
        if "arXiv" in line or "doi" in line
    }
    rows = {name: cells for name, cells in rows.items() if len(cells) == 6}
    assert tuple(sorted(rows)) == tuple(sorted(NAMES))
    columns = ({"rollout"}, {"advantage", "critic"}, {"loss", "aggregation", "constant_length"}, {"filter", "shaping"})
    for name, cells in rows.items():
        assert cells[4].strip() == algorithm(name).paper
        if name == "grpo":
            continue
        own = CHANGES[name]
        for names, cell in zip(columns, cells, strict=False):
            if "kl" in own and "divergence" in cell:
                continue
            assert bool(names & own) == bool(cell.strip()), (name, names)
        assert ("divergence" in " ".join(cells)) == ("kl" in own)
    officials = sorted(name for name in NAMES if "official" in ALGORITHMS[name])
    said = page.partition("There is one of ")[2].partition("`python -m")[0]
    assert sorted(re.findall("`([a-z+-]+)`", said)) == officials
    assert "not confirmed" in page


def test_the_seven_are_complete() -> None:
    assert set(SEVEN) == {"grpo", "reinforce++", "dapo", "cispo", "gppo", "gigpo", "arpo"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", PRESETS)
def test_a_preset_fits_every_algorithm_and_leaves_out_what_it_has_not(name: str, size: str) -> None:
    for variant in ALGORITHMS[name]:
        settings = preset(size).settings
        kept = suited(name, settings, variant)
        made = with_settings(algorithm(name, variant), kept)
        assert made.rollout.budget == settings["rollout.budget"]
        assert kept.items() <= settings.items()
        refused = {"epochs", "updates"} if name == "reinforce" else set()
        assert set(settings) - set(kept) == refused & set(settings)
    assert suited("aepo", settings) == settings


def test_what_a_user_sets_is_never_left_out() -> None:
    with pytest.raises(ValueError, match=r"There is no setting 'rollout\.rule\.penalty'"):
        with_setting(algorithm("ppo"), "rollout.rule.penalty", "0")
    with pytest.raises(ValueError, match="a multiple of epochs"):
        with_setting(algorithm("reinforce"), "epochs", "2")
    with pytest.raises(ValueError, match="knows no ratio"):
        with_setting(algorithm("reinforce"), "updates", "4")
    weighted = with_settings(algorithm("reinforce"), {"loss.highest": "2", "updates": "4", "epochs": "2"})
    assert weighted.loss.highest == 2
    with pytest.raises(ValueError, match="reinforce\\+\\+-baseline"):
        algorithm("grpo++")


def test_options_and_rows_of_parts_can_be_set_by_name() -> None:
    dapo = algorithm("dapo")
    made = with_settings(dapo, {"shaping.0.factor": "0.5", "kl.estimator": "k2", "mask_too_long": "yes"})
    assert (made.shaping[0].factor, made.kl.estimator, made.mask_too_long) == (0.5, "k2", True)
    assert changed(made, dapo) == {"shaping", "kl", "mask_too_long"}
    assert settings_of(dapo)["shaping.0.buffer"] == 0.2
    for wrong in ("shaping.1.factor", "shaping.factor", "shaping.0", "shaping", "shaping.x.factor"):
        with pytest.raises(ValueError, match="There is no setting"):
            with_setting(dapo, wrong, "1")


def test_a_critic_comes_with_an_advantage_that_needs_one() -> None:
    with pytest.raises(ValueError, match="comes with a critic, another without"):
        replace(algorithm("ppo"), critic=None)
    with pytest.raises(ValueError, match="comes with a critic, another without"):
        replace(algorithm("grpo"), critic=algorithm("ppo").critic)
