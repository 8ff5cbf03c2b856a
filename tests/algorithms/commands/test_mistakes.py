"""Mistakes on the command line: each gets one sentence that says what to do, exit code 2, and leaves nothing behind."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

from algorithms.run import COMMANDS, main
from algorithms.training import tiny_start
from algorithms.training.known import ALGORITHMS

ASKED = {"question": "How long is the river?", "answers": ["212 km"]}
SAID = [{"role": "user", "content": "How long?"}, {"role": "assistant", "content": "<answer>212</answer>"}]

FILES = {
    "tasks.jsonl": "".join(json.dumps({**ASKED, "id": str(number)}) + "\n" for number in range(40)),
    "few.jsonl": json.dumps(ASKED) + "\n",
    "empty.jsonl": "\n",
    "broken.jsonl": json.dumps(ASKED) + "\n{\n",
    "unasked.jsonl": '{"query": "How long?"}\n',
    "unanswered.jsonl": json.dumps({**ASKED, "answers": []}) + "\n",
    "verl.jsonl": '{"prompt": [{"role": "user", "content": "How long?"}], "reward_model": {"style": "rule"}}\n',
    "tasks.csv": "question,answer\n",
    "torn.parquet": "PAR1 and no more",
    "said.jsonl": json.dumps({"messages": SAID}) + "\n",
    "unsaid.jsonl": json.dumps({"messages": SAID[:1]}) + "\n",
    "misrole.jsonl": json.dumps({"messages": [{**SAID[0], "role": "human"}, SAID[1]]}) + "\n",
    "torn.yaml": "steps: [1\n",
    "list.yaml": "- steps\n",
    "misspelt.yaml": "questons: 3\n",
    "deep.yaml": "optimiser:\n  learning: 3\n",
    "worded.yaml": "steps: many\n",
    "flag.yaml": "steps: true\n",
    "flat.yaml": "evaluation: 30\n",
    "betas.yaml": "optimiser:\n  betas: [0.9]\n",
    "code.yaml": "environment:\n  name: code\n",
    "official.yaml": "variant: official\nsettings:\n  updates: 8\n",
    "held/config.yaml": "seed: 3\n",
    "empty/notes.txt": "no questions",
    "void/notes.pdf": "no pages",
    "pages/one.md": "# One\n\nText.\n",
    "pages/questions.jsonl": json.dumps(ASKED) + "\n",
}

# What follows "aepo", and words of the sentence.
TRAINING = [
    (["--env", "browser"], "env is one of web, search, code; got 'browser'"),
    (["--env", "serch"], "did you mean 'search'?"),
    (["--preset", "huge"], "preset is one of smoke, quick, default, paper"),
    (["--preset", "defualt"], "did you mean 'default'?"),
    (["--variant", "best"], "aepo has no variant 'best': choose one of paper, official"),
    (["--model", "./nothing"], "There is no model at './nothing'"),
    (["--model", "tinny"], "There is no model 'tinny'; did you mean 'tiny'?"),
    (["--model", "pages"], "There is no model at"),
    (["--reward", "fame"], "reward is one of paper, paper_official, exact_match"),
    (["--reward", "exactmatch"], "did you mean 'exact_match'?"),
    (["--corpus", "nowhere"], 'corpus is "generated", "factbook" or a folder of pages; there is no folder'),
    (["--corpus", "factbok"], "did you mean 'factbook'?"),
    (["--corpus", "empty"], "empty/questions.jsonl: expected a file of questions"),
    (["--corpus", "void"], "expected pages"),
    (["--corpus", "pages"], "falls into split"),
    (["--corpus", "pages", "--env", "code"], "--env code has none of"),
    (["--tools", "search,phone"], "tools are taken from python, search, browse; got 'phone'"),
    (["--tools", "serach"], "did you mean 'search'?"),
    (["--tools", "search,,python"], "--tools takes names with commas between"),
    (["--tools", "search,search"], "Each tool is named once"),
    (["--tools", "search", "--env", "code"], "--env code has the tool python alone"),
    (["--tasks", "missing.jsonl", "--corpus", "pages"], "--tasks missing.jsonl: there is no file there"),
    (["--tasks", "5-hop"], "5-hop"),
    (["--tasks", "tasks.jsonl"], "add --corpus factbook or --corpus FOLDER"),
    (["--tasks", "tasks.csv", "--corpus", "pages"], "ends in .jsonl or .parquet"),
    (["--tasks", "few.jsonl", "--corpus", "pages"], "falls into split 'train'"),
    (["--tasks", "empty.jsonl", "--env", "code"], "found an empty file"),
    (["--tasks", "broken.jsonl", "--env", "code"], "broken.jsonl, line 2: expected a JSON object"),
    (["--tasks", "unasked.jsonl", "--env", "code"], "line 1: expected the columns question and answers"),
    (["--tasks", "unanswered.jsonl", "--env", "code"], 'line 1: expected texts in the field "answers"'),
    (["--tasks", "verl.jsonl", "--env", "code"], "expected reward_model.ground_truth"),
    (["--demonstrations", "missing.jsonl"], "--demonstrations missing.jsonl: there is no file there"),
    (["--demonstrations", "empty.jsonl"], "found an empty file"),
    (["--demonstrations", "broken.jsonl"], 'line 1: expected "messages"'),
    (["--demonstrations", "unsaid.jsonl"], "a message of the assistant"),
    (["--demonstrations", "misrole.jsonl"], "each with a role of system, user, assistant, tool"),
    (["--set", "rollout.sensitivity"], "--set wants NAME=VALUE; got 'rollout.sensitivity'"),
    (
        ["--set", "rollout.sensitivty=1"],
        "'rollout.sensitivty'; did you mean 'rollout.sensitivity'?",
    ),
    (["--set", "optimiser.learning=1"], "There is no setting 'optimiser.learning'"),
    (["--set", "optimiser.fall=cosine", "--set", "cooldown=0"], "say for which share of the run too, as cooldown=1"),
    (["--set", "optimiser.fall=steep"], "optimiser.fall takes linear or cosine"),
    (["--set", "lora.rank=-1"], "lora.rank from 0"),
    (["--set", "lora.targets=vproj"], "did you mean 'v_proj'?"),
    (["--set", "lora.dropout=0.1"], "There is no setting 'lora.dropout'"),
    (["--set", "loss.high=much"], "loss.high takes a number"),
    (["--set", "turn_tokens=few"], "turn_tokens takes a whole number"),
    (["--set", "environment.name=code"], "--env decides it"),
    (["--set", "updates=1", "--set", "updates=2"], "--set gives updates both 1 and 2"),
    (["--set", "rollout.budget=0"], "budget"),
    (["--budget", "4", "--set", "rollout.budget=4"], "say the same thing twice"),
    (["--lr", "1e-3", "--set", "optimiser.lr=1e-3"], "say the same thing twice"),
    (["--budget", "0"], "budget"),
    (["--updates", "0"], "at least 1 optimiser step"),
    (["--steps", "-1"], "steps must be at least 0"),
    (["--steps", "many"], "--steps: takes a whole number, not 'many'"),
    (["--steps", "2.5"], "takes a whole number, not '2.5'"),
    (["--steps"], "--steps: expected one argument"),
    (["--questions", "0"], "questions must be at least 1"),
    (["--threads", "-2"], "threads must be at least 0"),
    (["--lr", "0"], "lr"),
    (["--lr", "nan"], "--lr: takes a number, not 'nan'"),
    (["--temperature", "-1"], "temperature"),
    (["--seed", "-1"], "seed must be at least 0"),
    (["--eval-questions", "-3"], "questions"),
    (["--eval-every", "-1"], "every"),
    (["--device", "tpu"], "device is one of auto, cpu, cuda"),
    (["--log", "tensorboard"], "log is one of jsonl, wandb"),
    (["--log", "wanbd"], "did you mean 'wandb'?"),
    (["--config", "missing.yaml"], "--config missing.yaml cannot be read"),
    (["--config", "pages"], "--config pages cannot be read"),
    (["--config", "torn.yaml"], "torn.yaml, line 2 is no YAML"),
    (["--config", "list.yaml"], "holds no names with values"),
    (["--config", "misspelt.yaml"], "has no questons; did you mean 'questions'?"),
    (["--config", "deep.yaml"], "OptimiserSettings has no learning"),
    (["--config", "worded.yaml"], "steps takes a whole number, not 'many'"),
    (["--config", "flag.yaml"], "steps takes a whole number, not True"),
    (["--config", "flat.yaml"], "evaluation takes names with values, not 30"),
    (["--config", "betas.yaml"], "optimiser.betas takes 2 numbers"),
    (["--config", "code.yaml", "--env", "web"], "--env web contradicts code.yaml"),
    (["--config", "official.yaml", "--variant", "paper"], "--variant paper contradicts official.yaml"),
    (["--profile", "--dry-run"], "--dry-run makes none"),
    (["--profile", "--steps", "1"], "--profile looks at the second step"),
    (["--stps", "3"], "aepo has no option --stps; did you mean '--steps'?"),
    (["--step", "3"], "did you mean '--steps'?"),
    (["web"], "'web' is more than aepo takes"),
]

OTHER = [
    ([], "Say what to do: aepo"),
    (["a3c"], "There is no command 'a3c'."),
    (["aeop"], "There is no command 'aeop'; did you mean 'aepo'?"),
    (["train"], "There are aepo, grpo, reinforce++"),
    (["eval"], "run; see"),
    (["eval", "nothing"], "There is no run in nothing"),
    (["eval", "pages"], "There is no run in pages"),
    (["eval", "held"], "has no checkpoint yet"),
    (["eval", "held", "--device", "tpu"], "has no checkpoint yet"),
    (["coldstart", "--env", "wbe"], "did you mean 'web'?"),
    (["coldstart", "--threads", "2"], "coldstart has no option --threads"),
    (["list", "everything"], "'everything' is more than list takes"),
    (["aepo", "--run-dir", "held"], "held holds a run already"),
    (["aepo", "--run-dir", "tasks.csv"], "cannot be written"),
    (["--verbose"], "more than python -m algorithms.run takes"),
]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the files above; nothing that is kept is used or made."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tiny_start, "make_tiny", lambda *_: pytest.fail("a cold start takes minutes"))


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    """One cache for all lines: the pages of the generated web are built once."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AEPO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def sentence(line: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a line that is wrong is answered with."""
    capsys.readouterr()
    assert main(line) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("error: ")
    assert re.search(r"[.?]$|\)$|'$", said), said
    assert len(said) < 1_200
    return said


def _name(part: object) -> str:
    return " ".join(part) if isinstance(part, list) else "-"


@pytest.mark.parametrize(("given", "words"), TRAINING, ids=_name)
def test_a_mistake_is_answered_before_anything_is_made(
    given: list[str],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def begun(*_: object, **__: object) -> None:
        raise AssertionError("The cold start was begun.")

    monkeypatch.setattr("algorithms.training.tiny_start.tiny_start", begun)
    assert words in sentence(["aepo", *given, *([] if "--run-dir" in given else ["--run-dir", "mine"])], capsys)
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(("line", "words"), OTHER, ids=_name)
def test_other_lines(line: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in sentence(line, capsys)


def test_extras_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for package in ("pyarrow", "wandb", "peft"):
        monkeypatch.setitem(sys.modules, package, None)
    assert "pip install 'aepo-env[parquet]'" in sentence(["aepo", "--env", "code", "--tasks", "torn.parquet"], capsys)
    assert "pip install -e '.[wandb]'" in sentence(["aepo", "--log", "jsonl,wandb"], capsys)
    assert "pip install -e '.[lora]'" in sentence(["aepo", "--set", "lora.rank=8"], capsys)


def test_torch_that_is_missing_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> int:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(COMMANDS["list"], "run", missing)
    assert "torch is not installed: this command needs the extra train" in sentence(["list"], capsys)


def test_a_hub_out_of_reach_is_said_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr("algorithms.policy.loading.socket.create_connection", away)
    monkeypatch.setattr("algorithms.policy.loading.getproxies", dict)
    said = sentence(["aepo", "--model", "nobody/of-that-name", "--run-dir", "mine"], capsys)
    assert "'nobody/of-that-name' is no folder here and not in the cache" in said
    assert "connect to the network, or give a folder" in said
    assert not (tmp_path / "mine").exists()


def test_a_gpu_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "--device cuda needs a GPU" in sentence(["aepo", "--device", "cuda"], capsys)


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="parquet needs the extra 'parquet'")
def test_parquet_that_is_none_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot be read as parquet" in sentence(["aepo", "--env", "code", "--tasks", "torn.parquet"], capsys)


def test_the_algorithms_are_commands_and_commands_load_nothing_heavy() -> None:
    trains = COMMANDS["aepo"]
    assert {name for name, command in COMMANDS.items() if command is trains} == set(ALGORITHMS)
    heavy = "import sys, algorithms.run; print([m for m in ('torch', 'transformers', 'yaml') if m in sys.modules])"
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", heavy], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
