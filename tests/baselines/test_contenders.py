"""Who is compared: names, variants, labels, grids and ablations, and what is wrong with a line."""

import pytest

from algorithms.names import NAMES, SEVEN
from baselines.contenders import contenders
from baselines.suite import ABLATIONS, SUITE


def test_without_names_it_is_aepo_and_the_seven() -> None:
    assert [one.label for one in contenders([])] == ["aepo", *SEVEN] == list(SUITE)
    assert set(SUITE) < set(NAMES)


def test_names_variants_and_labels() -> None:
    plain, official, mine = contenders(["aepo", "aepo:official", "mine=grpo"])
    assert (plain.label, plain.words) == ("aepo", ["aepo"])
    assert (official.label, official.words) == ("aepo-official", ["aepo", "--variant", "official"])
    assert (mine.label, mine.words) == ("mine", ["grpo"])


def test_a_grid_crosses_every_contender() -> None:
    found = contenders(["grpo", "dapo"], grid=["loss.high=0.2,0.28", "updates=1,2"])
    assert len(found) == 8
    assert found[1].label == "grpo loss.high=0.2 updates=2"
    assert found[1].words == ["grpo", "--set", "loss.high=0.2", "--set", "updates=2"]


def test_an_ablation_is_the_whole_and_it_without_each_part() -> None:
    whole, *without = contenders([], ablate="aepo")
    assert (whole.label, whole.settings) == ("aepo", {})
    assert len(without) == len(ABLATIONS["aepo"]) == 5
    assert without[-1].settings == {name: value for one in without[:-1] for name, value in one.settings.items()}
    assert [one.label for one in contenders(["grpo", "aepo"], ablate="aepo")][:2] == ["grpo", "aepo"]


def test_what_an_ablation_leaves_out_is_really_off() -> None:
    pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
    from algorithms.settings import settings_of, with_settings
    from algorithms.training.known import algorithm

    aepo = algorithm("aepo")
    for label, settings in ABLATIONS["aepo"].items():
        before, after = settings_of(aepo), settings_of(with_settings(aepo, settings))
        changed = {name for name in after if after[name] != before[name]}
        assert changed == set(settings), label


@pytest.mark.parametrize(
    ("names", "given", "words"),
    [
        (["aeppo"], {}, "no algorithm 'aeppo'; did you mean 'aepo'?"),
        (["a=b=c"], {}, "NAME, NAME:VARIANT or LABEL=NAME"),
        (["x/../y=grpo"], {}, "letters, digits"),
        (["grpo", "grpo"], {}, "Two contenders are called 'grpo'"),
        (["aepo:official"], {"variant": "paper"}, "contradicts --variant paper"),
        (["grpo"], {"grid": ["loss.high"]}, "--grid wants NAME=VALUE,VALUE"),
        (["grpo"], {"grid": ["loss.high=1,1"]}, "different values"),
        (["grpo"], {"grid": ["evaluation.questions=1,2"]}, "the same questions"),
        ([], {"grid": ["loss.balanced=no,yes"], "ablate": "aepo"}, "sets loss.balanced itself"),
        ([], {"ablate": "grpo"}, "--ablate knows the parts of aepo"),
    ],
)
def test_mistakes_are_told(names: list[str], given: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match="(?s).*" + words.replace("?", r"\?")):
        contenders(names, **given)  # type: ignore[arg-type]
