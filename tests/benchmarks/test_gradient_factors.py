"""Gradient factors: the committed numbers are what the losses give, and the pictures show these numbers."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

from algorithms.names import NAMES
from benchmarks.gradient_factors import FOLDER, TABLE, digest, factors, main, picture

KEPT = json.loads((FOLDER / TABLE).read_text("utf-8"))
EVERY = np.arange(0.3005, 2.2, 0.001)
RATIOS = (0.4, 0.7, 0.9, 1.1, 1.25, 1.5, 1.9)


def plain(ratio: float, rising: bool, high: float = 1.2) -> float:
    """PPO's clip."""
    return 0.0 if (ratio > high if rising else ratio < 0.8) else ratio


# By the printed formulas, at a ratio, for A = 1 (True) or A = -1.
CLOSED = {
    "grpo": plain,
    "dapo": lambda ratio, rising: plain(ratio, rising, 1.28),
    "aepo": lambda ratio, rising: 1.2 if rising and ratio > 1.2 else plain(ratio, rising),
    "gppo": lambda ratio, rising: min(ratio, 1.28) if rising else max(ratio, 0.8),
    "ce-gppo": lambda ratio, rising: min(ratio, 1.2) if rising else (0.4 if ratio < 0.8 else ratio),
    "cispo": lambda ratio, rising: min(ratio, 1.28),
    "reinforce": lambda ratio, rising: 1.0,
    "gspo": lambda ratio, rising: ratio if (ratio < 1) == rising else 0.0,
    "kl-cov": lambda ratio, rising: ratio,
    "clip-cov": lambda ratio, rising: ratio,
}


def at(curve: list[list[float]], ratio: float) -> float:
    return float(np.interp(ratio, *zip(*curve, strict=True)))


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_numbers_are_those_of_the_code(name: str) -> None:
    found = factors(name)
    assert list(found) == list(KEPT[name])
    for kind, curve in found.items():
        ours, theirs = (np.interp(EVERY, *zip(*one, strict=True)) for one in (curve, KEPT[name][kind]))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2.1e-3, err_msg=kind)  # twice what a curve is kept to


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("rising", [True, False])
def test_they_are_those_of_the_printed_formulas(name: str, rising: bool) -> None:
    curves = {kind: curve for kind, curve in KEPT[name].items() if kind.startswith("A > 0" if rising else "A < 0")}
    for ratio in RATIOS:
        expected = CLOSED[name](ratio, rising)
        if name == "aepo":  # half of the tokens are certain, half are not: 0.2 times about one deviation
            scales = {"uncertain": 1.2, "sure": 0.8}
            for kind, curve in curves.items():
                assert at(curve, ratio) == pytest.approx(expected * scales[kind.partition(", ")[2]], abs=2e-3)
        else:
            usual = next(curve for kind, curve in curves.items() if kind.endswith(("token", "others")))
            assert at(usual, ratio) == pytest.approx(expected, abs=2e-3)


def test_chosen_tokens_are_left_out_by_clip_cov_and_pulled_back_by_kl_cov() -> None:
    for sign, kind in ((1, "A > 0, chosen"), (-1, "A < 0, chosen")):
        for ratio in RATIOS:
            assert at(KEPT["clip-cov"][kind], ratio) == 0
            assert at(KEPT["kl-cov"][kind], ratio) == pytest.approx(ratio - sign * np.sign(ratio - 1), abs=2e-3)


def test_empg_weighs_sure_steps_more_whatever_the_sign() -> None:
    for sign in ("A > 0", "A < 0"):
        sure, unsure = (at(KEPT["empg"][f"{sign}, {kind}"], 1.0) for kind in ("sure", "uncertain"))
        total = 1 + np.exp(-1)
        assert sure == pytest.approx(2 / total, abs=0.01)
        assert unsure == pytest.approx(2 * np.exp(-1) / total, abs=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_its_picture_shows_them_and_is_small_and_white(name: str) -> None:
    text = (FOLDER / picture(name)).read_text("utf-8")
    assert f"<dc:description>{digest(KEPT[name])}</dc:description>" in text
    assert len(text) < 30_000
    first = re.search(r'id="patch_1">\s*<path d="[^"]*" style="([^"]*)"', text)
    assert first is not None
    assert first[1] == "fill: #ffffff"
    assert "dc:date" not in text


def test_there_are_pictures_and_numbers_of_no_other() -> None:
    assert list(KEPT) == list(NAMES)
    assert {file.name for file in FOLDER.glob("gradient_*.svg")} == {picture(name) for name in NAMES}


def test_drawing_twice_gives_the_same_bytes_and_leaves_others_alone(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need the extra 'dev'")
    assert main(["gppo", "--folder", str(tmp_path)]) == 0
    first = (tmp_path / picture("gppo")).read_bytes()
    (tmp_path / picture("gppo")).unlink()
    assert main(["gppo", "clip-cov", "--folder", str(tmp_path)]) == 0
    assert (tmp_path / picture("gppo")).read_bytes() == first
    kept = json.loads((tmp_path / TABLE).read_text("utf-8"))
    assert main(["aepo", "--folder", str(tmp_path)]) == 0
    after = json.loads((tmp_path / TABLE).read_text("utf-8"))
    assert list(after) == ["aepo", "gppo", "clip-cov"]
    assert {name: after[name] for name in kept} == kept
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".json", ".svg", ".svg", ".svg"]


@pytest.mark.parametrize(
    ("line", "said"), [(["grppo"], "did you mean 'grpo'"), (["--folder", "nowhere/at/all"], "There is no folder")]
)
def test_a_mistake_gets_a_sentence(line: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line) == 2
    assert said in capsys.readouterr().err
