"""The command: what it prints and writes, and that each mistake gets one sentence and exit code 2."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="baselines stand on algorithms: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

from aepo_env.stored import from_plain
from algorithms.training.evaluation import Scores
from algorithms.training.run_directory import RunDirectory
from baselines.agents import command
from baselines.agents.__main__ import main
from baselines.agents.known import AGENTS
from tests.algorithms.training.small import config, trainer, untrained


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def lines(file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(file).read_text("utf-8").splitlines()]


def test_list_names_every_agent_with_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == list(AGENTS)
    assert any("arXiv:2501.05366" in line for line in said)


def test_an_agent_leaves_a_line_in_the_shape_of_an_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    line = [
        "oracle",
        "--env",
        "search",
        "--questions",
        "6",
        "--results",
        "here/all.jsonl",
        "--episodes",
        "played.jsonl",
    ]
    assert main(line) == 0
    assert main(["random", "--env", "search", "--questions", "6", "--samples", "2", "--results", "here/all.jsonl"]) == 0
    oracle, chance = lines("here/all.jsonl")
    shape = set(Scores(np.zeros(1), ("a",), {}, {}).to_plain())
    assert set(oracle["greedy"]) == set(chance["sampled"]) == shape
    assert (oracle["agent"], oracle["greedy"]["mean"], oracle["questions"]) == ("oracle", 1.0, 6)
    assert (chance["agent"], len(chance["sampled"]["scores"]), chance["samples"]) == ("random", 6, 2)
    assert oracle["greedy"]["stop_reasons"] == {"answered": 6}
    assert chance["sampled"]["stop_reasons"] == {"answered": 12}
    assert oracle["greedy"]["family_of"] == chance["sampled"]["family_of"]  # the same questions
    assert all(from_plain(one).rewards["total"] == 1.0 for one in lines("played.jsonl"))
    said = capsys.readouterr().out
    assert "100.0 %  (54.1 to 100.0)  6 questions" in said
    assert "tool calls an episode: search" in said


def test_a_run_plays_its_own_environment_with_its_newest_policy() -> None:
    wanted = config()
    directory = RunDirectory.create("run", wanted, "python -m algorithms.run aepo --env web")
    one = trainer(wanted, untrained(), directory)
    one.save()
    one.close()
    assert main(["react", "--policy", "run", "--questions", "2", "--results", "all.jsonl"]) == 0
    (record,) = lines("all.jsonl")
    assert record["environment"] == {"name": "web", **wanted.environment.arguments}
    assert (record["model"], record["prompt"]) == ("run", "environment")
    assert 0 < record["tokens"]["written"] <= 2 * wanted.turn_tokens * record["tokens"]["requests"]


def test_a_folder_is_told_what_to_do_in_words() -> None:
    untrained().save("folder")
    line = ["direct", "--policy", "folder", "--questions", "2", "--turn-tokens", "9", "--threads", "1"]
    assert main([*line, "--results", "all.jsonl"]) == 0
    (record,) = lines("all.jsonl")
    assert record["prompt"] == "own"
    assert record["tokens"]["written"] <= 18


def test_a_server_is_a_model_too(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("httpx", reason="servers need the extra 'live': pip install -e '.[live]'")
    from tests.baselines.agents.served import serving

    monkeypatch.setenv("MY_KEY", "secret")
    with serving(lambda _: r"<answer>\boxed{6}</answer>") as served:
        served.wanted = "secret"
        line = ["react", "--server", served.url, "--served-model", "served", "--questions", "3"]
        assert main([*line, "--results", "all.jsonl"]) == 2
        assert main([*line, "--key-variable", "MY_KEY", "--results", "all.jsonl"]) == 0
    (record,) = lines("all.jsonl")
    assert (record["model"], record["tokens"]["requests"]) == ("served", 3)
    assert "secret" not in Path("all.jsonl").read_text("utf-8")


TINY = ["react", "--policy", "tiny"]
MISTAKES = [
    ([], "Say which agent"),
    (["raect"], "There is no agent 'raect'; did you mean 'react'?"),
    (["react"], "give either --policy or --server; none is given"),
    ([*TINY, "--server", "http://127.0.0.1:1/v1"], "both are given"),
    (["oracle", "--policy", "tiny"], "oracle writes by itself: leave --policy and --server out"),
    (["react", "--server", "http://127.0.0.1:1/v1"], "--server and --served-model belong together"),
    ([*TINY, "--served-model", "x"], "--server and --served-model belong together"),
    ([*TINY, "--questions", "0"], "--questions must be at least 1; got 0"),
    ([*TINY, "--questions", "many"], "takes a whole number, not 'many'"),
    ([*TINY, "--at-once", "0"], "--at-once must be at least 1"),
    ([*TINY, "--samples", "2"], "give one above 0, or --samples 1"),
    ([*TINY, "--temperature", "-1"], "Expected --temperature >= 0"),
    ([*TINY, "--top-p", "0"], "0 < --top-p <= 1"),
    ([*TINY, "--split", "valid"], "--split is one of train, dev, test, all; got 'valid'"),
    ([*TINY, "--prompt", "owm"], "--prompt is own or environment; got 'owm'; did you mean 'own'?"),
    ([*TINY, "--colour"], "nrecognized arguments: --colour"),
    (["oracle", "--env", "wbe"], "env is one of web, search, code; got 'wbe'"),
    (["oracle", "--preset", "huge"], "preset is one of smoke, quick, default, paper"),
    (["oracle", "--env", "code", "--corpus", "factbook"], "--corpus gives pages, which --env code has none of"),
    (["react", "--policy", "./nothing"], "There is no model at './nothing'"),
    (["react", "--policy", "tinny"], "There is no model 'tinny'; did you mean 'tiny'?"),
    (["oracle", "--split", "all"], "split"),
    (["oracle", "--questions", "1", "--results", "/proc/none/all.jsonl"], "choose another --results"),
    (["oracle", "--questions", "1", "--episodes", "none/all.jsonl"], "choose another --episodes"),
]


@pytest.mark.parametrize(("line", "words"), MISTAKES, ids=[" ".join(line) for line, _ in MISTAKES])
def test_a_mistake_gets_one_sentence(line: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert words in said
    assert said.count("\n") == 1
    assert not Path("runs").exists()


def test_an_agent_without_its_tool_is_told_which(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(command, "loaded_policy", lambda *_: untrained())
    assert main(["search-o1", "--policy", "tiny", "--env", "code", "--questions", "2"]) == 2
    assert "search-o1 needs the tool search, and this environment has python" in capsys.readouterr().err


def test_a_run_has_its_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    RunDirectory.create("run", config(), "python -m algorithms.run aepo --env web")
    for extra, words in ((["--preset", "quick"], "leave --config and --preset out"), ([], "no checkpoint yet")):
        assert main(["react", "--policy", "run", *extra]) == 2
        assert words in capsys.readouterr().err
