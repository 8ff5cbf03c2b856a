"""What decides a run: preset, file, options, in this order; what the dry run and the list say of it."""

import argparse
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import yaml

from algorithms.algorithm import Algorithm
from algorithms.commands.configuration import configuration, read_file
from algorithms.commands.listing import differences
from algorithms.policy.lora import LoraSettings
from algorithms.policy.tiny import tiny_model
from algorithms.run import _read, main
from algorithms.settings import settings_of
from algorithms.training.config import PRESETS, RunConfig, preset
from algorithms.training.estimate import SHAPES, Usual, estimate, shape_of
from algorithms.training.known import ALGORITHMS, algorithm
from algorithms.training.trainer import algorithm_of


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def made(*line: str) -> RunConfig:
    options = _read(["aepo", *line])
    return configuration(options, read_file(options.config))


def test_without_options_it_is_the_default_preset() -> None:
    assert made() == preset("default")
    assert made("--preset", "quick", "--env", "code") == preset("quick", "code")


def test_options_change_what_they_name_and_nothing_else() -> None:
    config = made("--steps", "3", "--lr", "1e-3", "--budget", "4", "--eval-every", "2", "--set", "loss.high=0.3")
    wanted = preset("default").to_plain()
    wanted["steps"] = 3
    wanted["optimiser"]["lr"] = 1e-3
    wanted["evaluation"]["every"] = 2
    wanted["settings"] |= {"rollout.budget": 4, "loss.high": "0.3"}
    assert config.to_plain() == wanted
    assert settings_of(algorithm_of(config))["loss.high"] == 0.3


@pytest.mark.parametrize("updates", [1, 3])
def test_what_a_line_says_wins_over_what_a_preset_says_beside_it(updates: int) -> None:
    config = made("--updates", str(updates))  # the preset makes two epochs of four steps
    assert algorithm_of(config).updates == updates
    assert algorithm_of(config).epochs == 1
    assert config.settings["rollout.budget"] == preset("default").settings["rollout.budget"]
    assert algorithm_of(made("--updates", "6")).epochs == 2
    assert algorithm_of(made("--set", "epochs=1", "--updates", "3")).epochs == 1


def test_an_estimate_counts_the_models_beside_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("algorithms.training.estimate.usual", lambda _: Usual(50.0, 100.0, 200.0))
    monkeypatch.setattr("algorithms.training.estimate.throughput", lambda *_: 1e11)
    config = replace(preset("default"), device="cpu", threads=1)
    said = {name: "\n".join(estimate(config, algorithm(name))) for name in ("grpo", "gigpo", "ppo")}
    memory = {name: int(re.search(r"about ([\d,]+) MB", text)[1].replace(",", "")) for name, text in said.items()}  # type: ignore[index]
    weights, states = 4 * 0.93, 12 * 0.80  # MB, of the tiny model: a number of four bytes each, three to train it
    assert memory["gigpo"] - memory["grpo"] == pytest.approx(weights, abs=1)
    assert memory["ppo"] - memory["grpo"] == pytest.approx(weights + states, abs=1)
    assert "a frozen reference" in said["gigpo"]
    assert "a critic" in said["ppo"]
    assert "reference" not in said["grpo"] + said["ppo"]
    seconds = {name: float(re.search(r"about ([\d.]+) s a step", text)[1]) for name, text in said.items()}  # type: ignore[index]
    assert seconds["grpo"] < seconds["gigpo"] < seconds["ppo"]


SMOLLM2 = ("--env", "search", "--model", "smollm2")


def test_smollm2_has_sizes_of_its_own_for_its_pages(tmp_path: Path) -> None:
    config = made(*SMOLLM2, "--corpus", "factbook")
    assert config == preset("default", "search", "smollm2", "factbook")
    assert config.oracle_demonstrations > 0
    assert config.environment.arguments["families"] == ["factbook/1-hop"]
    assert made(*SMOLLM2, "--corpus", "factbook", "--tasks", "3-hop").environment.arguments["families"] == [
        "factbook/3-hop"
    ]
    (tmp_path / "pages").mkdir()
    mine = made(*SMOLLM2, "--corpus", "pages").environment.arguments
    assert (mine["corpus"], mine["tools"]) == (str((tmp_path / "pages").resolve()), ["search"])
    assert "families" not in mine
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config.to_plain()))
    assert made("--config", "mine.yaml") == config
    other = made("--config", "mine.yaml", "--corpus", "pages").environment.arguments
    assert "families" not in other  # which only the Factbook has


def test_smollm2_learns_from_a_file_where_one_is_given_and_from_nothing_where_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "shown.jsonl").touch()
    assert made(*SMOLLM2, "--demonstrations", "shown.jsonl").demonstrations is not None
    assert made(*SMOLLM2, "--set", "oracle_demonstrations=0").oracle_demonstrations == 0
    assert made("--env", "search", "--model", "somebody/something").oracle_demonstrations == 0


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_sizes_of_smollm2_fit_every_algorithm(name: str) -> None:
    options = _read([name, *SMOLLM2, "--corpus", "factbook"])
    config = configuration(options, {})
    assert algorithm_of(config).name == algorithm_of(replace(config, settings={})).name


def test_set_reaches_the_run_too() -> None:
    config = made("--set", "turn_tokens=96", "--set", "optimiser.weight_decay=0.1", "--set", "evaluation.samples=2")
    assert (config.turn_tokens, config.optimiser.weight_decay, config.evaluation.samples) == (96, 0.1, 2)


def test_adapters_and_the_course_of_the_learning_rate_are_settings_of_the_run(tmp_path: Path) -> None:
    config = made("--set", "lora.rank=8", "--set", "lora.targets=q_proj,v_proj", "--set", "optimiser.fall=cosine")
    assert (config.lora.rank, config.lora.alpha, config.lora.layers) == (8, 16.0, ("q_proj", "v_proj"))
    assert (config.optimiser.fall, config.cooldown) == ("cosine", preset("default").cooldown)
    (tmp_path / "mine.yaml").write_text("lora: {rank: 4}\n")
    assert made("--config", "mine.yaml", "--set", "lora.alpha=4").lora == LoraSettings(4, 4.0)


def test_runs_begun_before_the_fall_had_a_form_are_read() -> None:
    plain = preset("default").to_plain()
    del plain["optimiser"]["fall"], plain["lora"]
    plain["optimiser"] |= {"decay_start": 0, "decay_steps": 0}
    assert RunConfig.from_plain(plain) == preset("default")
    plain["optimiser"]["decay_steps"] = 5  # then the rate fell in another way than now
    with pytest.raises(ValueError, match="OptimiserSettings has no decay_steps"):
        RunConfig.from_plain(plain)


def test_a_file_wins_over_the_preset_and_options_win_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("steps: 5\nquestions: 3\noptimiser: {lr: 1e-3}\nsettings: {updates: 2}\n")
    config = made("--config", "mine.yaml", "--steps", "7", "--preset", "smoke")
    assert (config.steps, config.questions, config.optimiser.lr) == (7, 3, 1e-3)
    assert config.settings == {"updates": 2}
    assert config.optimiser.train_embeddings is preset("smoke").optimiser.train_embeddings
    assert config.evaluation == preset("smoke").evaluation


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("environment", ["web", "search", "code"])
def test_the_configuration_of_a_run_gives_that_run_again(name: str, environment: str, tmp_path: Path) -> None:
    config = made("--preset", name, "--env", environment, "--seed", "3", "--variant", "official")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config.to_plain()))
    assert made("--config", "config.yaml") == config
    assert RunConfig.from_plain(config.to_plain()) == config


def test_the_official_variant_takes_no_setting_of_the_preset_but_the_budget() -> None:
    assert made("--variant", "official").settings == {"rollout.budget": 16}
    assert made("--variant", "official", "--updates", "2").settings == {"rollout.budget": 16, "updates": 2}


def test_another_corpus_has_no_settings_of_the_generated_one(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    arguments = made("--corpus", "pages", "--tools", "search,browse", "--reward", "f1").environment.arguments
    assert arguments["corpus"] == str(tmp_path / "pages")
    assert "difficulty" not in arguments
    assert (arguments["tools"], arguments["reward"]) == (["search", "browse"], "f1")
    assert made("--corpus", "factbook", "--tasks", "2-hop").environment.arguments["families"] == ["factbook/2-hop"]
    assert made("--tasks", "1-hop,web/2-hop").environment.arguments["families"] == ["web/1-hop", "web/2-hop"]


def test_files_are_named_in_full_so_that_a_run_can_be_looked_at_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("{}\n")
    assert made("--demonstrations", "mine.jsonl").demonstrations == str(tmp_path / "mine.jsonl")
    tasks = made("--tasks", "mine.jsonl", "--tools", "python").environment.arguments["tasks"]
    assert tasks == str(tmp_path / "mine.jsonl")
    (tmp_path / "tiny").mkdir()
    assert made("--model", "tiny").model == "tiny"


def test_log_always_has_the_lines() -> None:
    assert made().log == "jsonl"
    assert made("--log", "wandb").log == made("--log", "jsonl,wandb").log == "jsonl,wandb"


# --------------------------------------------------------------------------------------------------------- dry run


def dry(capsys: pytest.CaptureFixture[str], *line: str) -> tuple[dict[str, Any], str]:
    capsys.readouterr()
    assert main([*line, "--dry-run", "--threads", "1"]) == 0
    said = capsys.readouterr()
    return yaml.safe_load(said.out), said.err


def test_the_dry_run_of_the_paper_has_its_numbers_and_needs_no_model(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plain, said = dry(capsys, "aepo", "--preset", "paper")
    assert plain["model"] == "Qwen/Qwen3-8B"
    assert (plain["questions"], plain["optimiser"]["lr"], plain["total_tokens"]) == (128, 1e-6, 12_000)
    assert plain["settings"] | {"rollout.budget": 16, "updates": 8, "loss.dual": 3.0} == plain["settings"]
    assert plain["environment"]["arguments"]["limits"] == {"tool_calls": 6}
    assert "128 questions x 16 = 2,048 a step, 40 steps of 8 optimiser steps" in said
    assert "at most 24,576,000 a step as flat rows" in said
    assert "8,190.43 million parameters" in said
    assert "gradients and AdamW 98.3 GB" in said
    assert list(tmp_path.iterdir()) == []


def test_what_the_dry_run_prints_is_a_file_of_settings(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    line = ["aepo", "--preset", "smoke", "--budget", "8"]
    first, _ = dry(capsys, *line)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(first))
    again, _ = dry(capsys, "aepo", "--config", "mine.yaml")
    assert again == first


def test_an_unknown_model_gets_tokens_and_no_guess(capsys: pytest.CaptureFixture[str]) -> None:
    _, said = dry(capsys, "grpo", "--preset", "smoke", "--model", "somebody/something")
    assert "8 questions x 4 = 32 a step" in said
    assert "the shape of somebody/something is not known here" in said


def test_shapes_have_the_parameters_of_their_models(tmp_path: Path) -> None:
    model = tiny_model(1_024)
    assert SHAPES["tiny"].parameters == pytest.approx(sum(one.numel() for one in model.parameters()), rel=0.005)
    model.save_pretrained(tmp_path / "model")
    assert shape_of(str(tmp_path / "model")) == SHAPES["tiny"]
    # Millions, as published.
    published = {
        "smollm2": 134.5,
        "Qwen/Qwen2.5-0.5B-Instruct": 494,
        "Qwen/Qwen2.5-1.5B-Instruct": 1_544,
        "Qwen/Qwen2.5-3B-Instruct": 3_086,
        "Qwen/Qwen2.5-7B-Instruct": 7_616,
        "Qwen/Qwen3-0.6B": 596,
        "Qwen/Qwen3-1.7B": 1_720,
        "Qwen/Qwen3-4B": 4_022,
        "Qwen/Qwen3-8B": 8_191,
        "Qwen/Qwen3-14B": 14_768,
        "meta-llama/Llama-3.1-8B-Instruct": 8_030,
    }
    assert {name: shape.parameters / 1e6 for name, shape in SHAPES.items() if name != "tiny"} == {
        name: pytest.approx(millions, rel=0.002) for name, millions in published.items()
    }


# ------------------------------------------------------------------------------------------------------------ list


def test_the_list_has_everything_a_line_may_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    for name, variants in ALGORITHMS.items():
        assert f"  {name:<20} {variants['paper'].summary}" in said
    for name in (*PRESETS, "web", "search", "code", "factbook", "tiny", "smollm2", "exact_match"):
        assert name in said
    assert "rollout" not in said


def _differences_of(variants: Mapping[str, Algorithm]) -> list[tuple[str, str, str]]:
    return list(differences(variants["paper"], variants["official"])) if "official" in variants else []


def test_the_verbose_list_names_every_setting_that_a_variant_changes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--verbose"]) == 0
    said = capsys.readouterr().out
    paper, official = settings_of(ALGORITHMS["aepo"]["paper"]), settings_of(ALGORITHMS["aepo"]["official"])
    changed = {name for name in paper.keys() & official.keys() if paper[name] != official[name]}
    assert changed
    for name in changed:
        assert f"{name}: {paper[name]} -> {official[name]}" in said
    assert "advantage: EntropyAware(GroupNormalised) -> GroupNormalised" in said
    for name, variants in ALGORITHMS.items():
        told = said.partition(f"\n  {name:<20} ")[2].partition(" --variant official differs in\n")[2]
        lines = [line.strip() for line in told.splitlines()]
        expected = [f"{path}: {one} -> {other}" for path, one, other in _differences_of(variants)]
        assert lines[: len(expected)] == expected
    assert list(differences(ALGORITHMS["grpo"]["paper"], ALGORITHMS["grpo"]["paper"])) == []


def test_help_of_every_command_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for line in (["--help"], ["aepo", "--help"], ["eval", "--help"], ["list", "--help"]):
        with pytest.raises(SystemExit) as raised:
            main(line)
        assert raised.value.code == 0
        assert "usage: python -m algorithms.run" in capsys.readouterr().out


def test_reading_a_line_gives_a_namespace() -> None:
    assert isinstance(_read(["list"]), argparse.Namespace)
    assert json.dumps(made().to_plain())  # plain data


def test_a_presets_settings_that_an_algorithm_does_not_have_are_left_out_and_a_users_are_not(tmp_path: Path) -> None:
    def of(*line: str) -> RunConfig:
        options = _read(line)
        return configuration(options, read_file(options.config))

    assert "epochs" not in of("reinforce").settings  # one step a batch has no second epoch
    assert of("reinforce", "--budget", "8").settings["rollout.budget"] == 8
    assert of("gigpo").settings == made().settings
    with pytest.raises(ValueError, match="a multiple of epochs"):
        algorithm_of(of("reinforce", "--set", "epochs=2"))
    (tmp_path / "mine.yaml").write_text("settings: {rollout.rule.penalty: 0}\n", "utf-8")
    with pytest.raises(ValueError, match="There is no setting"):
        algorithm_of(of("ppo", "--config", "mine.yaml"))
