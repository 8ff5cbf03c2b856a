"""The pages of docs/algorithms: one for each, of the same parts, with the settings that the code has."""

import re
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

from algorithms.commands.listing import differences
from algorithms.names import NAMES
from algorithms.settings import settings_of, with_settings
from algorithms.training.known import ALGORITHMS, algorithm
from benchmarks.gradient_factors import picture, stem
from tests.readme import ROOT

FOLDER = ROOT / "docs" / "algorithms"
PARTS = [
    "Advantage and loss",
    "Relative to GRPO",
    "Gradient factor",
    "Defaults",
    "Other implementations",
    "Train it",
    "Edge cases",
]
SAID = {"True": "yes", "False": "no", "None": "none"}


def page(name: str) -> Path:
    return FOLDER / f"{stem(name)}.md"


def sections(name: str) -> dict[str, str]:
    """What stands below each heading; what stands above the first one below ""."""
    parts = re.split(r"^## (.+)$", page(name).read_text("utf-8"), flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def rows(name: str) -> dict[str, tuple[str, str, str]]:
    """Of each setting in the table of defaults: the default, the official value, where they are from."""
    lines = sections(name)["Defaults"].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {setting.strip("`"): (default, official, origin) for setting, default, official, origin in cells}


def shown(value: object) -> str:
    return SAID.get(str(value), str(value))


def test_there_is_a_page_for_each_and_no_other() -> None:
    assert sorted(FOLDER.iterdir()) == sorted(page(name) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_its_parts_in_order_its_paper_its_picture_and_a_command(name: str) -> None:
    found = sections(name)
    assert list(found) == ["", *PARTS]
    assert algorithm(name).paper in found[""]
    assert "](../../algorithms/" in found[""]
    assert "$$" in found["Advantage and loss"]
    assert f"](../pictures/{picture(name)})" in found["Gradient factor"]
    assert f"python -m algorithms.run {name} --env web" in found["Train it"]


@pytest.mark.parametrize("name", NAMES)
def test_its_defaults_are_those_of_the_code_and_each_has_an_origin(name: str) -> None:
    settings = {path: shown(value) for path, value in settings_of(algorithm(name)).items()}
    for path, (default, _, origin) in rows(name).items():
        # The advantage as a whole is a part, not a setting.
        assert path == "advantage" or settings[path] == default, path
        assert origin, path
    assert {"rollout.budget", "updates"} <= set(rows(name))
    # Every width, share and the like of the loss is there.
    assert {path for path in settings if path.startswith("loss.")} - set(rows(name)) <= {"loss.balanced"}


@pytest.mark.parametrize("name", NAMES)
def test_it_says_in_what_the_official_variant_differs(name: str) -> None:
    said = {path: (default, official) for path, (default, official, _) in rows(name).items() if official}
    variants = ALGORITHMS[name]
    if "official" not in variants:
        assert not said
        assert "there is no official variant" in sections(name)["Other implementations"].replace("\n", " ").lower()
        return
    found = {path: (shown(one), shown(other)) for path, one, other in differences(*variants.values())}
    assert said == found
    assert "`--variant official`" in sections(name)["Other implementations"]


@pytest.mark.parametrize("name", NAMES)
def test_its_commands_can_be_given(name: str) -> None:
    commands = [line for line in sections(name)["Train it"].splitlines() if line.startswith("python")]
    for line in commands:
        variant = "official" if "--variant official" in line else "paper"
        given = dict(setting.split("=") for setting in re.findall(r"--set (\S+)", line))
        for option, path in (("--updates", "updates"), ("--budget", "rollout.budget")):
            if said := re.search(rf"{option} (\d+)", line):
                given[path] = said[1]
        with_settings(algorithm(name, variant), given)
