"""The cold start of the tiny model: tokenizer, first weights and supervised training, kept once made.

    policy = tiny_start("web", say=print)            # two minutes the first time, a moment later

What is kept lies in the user's cache folder under the digest of all that decides it, with `log.jsonl` (the loss curve
and what checks found) and `settings.json`. It is made on one thread, whatever the run has: same settings,
versions and processor, same weights.
"""

import hashlib
import itertools
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aepo_env.corpus import cache_folders
from aepo_env.files import whole_folder
from aepo_env.text import did_you_mean
from algorithms.policy import smollm2
from algorithms.policy.loading import Policy, load_policy, resolved_device
from algorithms.policy.tiny import TinyShape, tiny_model, tiny_tokenizer
from algorithms.training.cold_start import ColdStart, ColdStartSettings
from algorithms.training.config import TINY_ENVIRONMENT, EnvironmentSettings, RunConfig
from algorithms.training.demonstrations import Transcript, texts, transcripts
from algorithms.training.enough import Check, Enough
from algorithms.training.questions import COLD_START_WORLDS, TOKENIZER_WORLDS, make_environment

_VERSION = 4  # raise it when the same settings give another result

MODELS = {
    "tiny": "0.9 million parameters, made here from nothing, and cold-started within two minutes: for CPUs",
    "smollm2": "SmolLM2-135M-Instruct, pre-trained: `make smollm2` fetches it once",
}
"""Models by names of ours; besides there are folders and names on the Hugging Face hub."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class TinyStart:
    """Everything that decides the result.

    tokenizer_worlds, tokenizer_questions: what the tokenizer is trained on: few questions of many worlds, so that it
    learns the syllables of names rather than names. vocabulary: of 1,024 tokens each is seen often enough to be copied
    well.
    """

    environment: EnvironmentSettings
    vocabulary: int = 1_024
    tokenizer_worlds: int = 30
    tokenizer_questions: int = 60
    shape: TinyShape = field(default_factory=TinyShape)
    training: ColdStartSettings = field(default_factory=ColdStartSettings)
    enough: Enough = field(default_factory=Enough)

    def digest(self) -> str:
        """A short fingerprint."""
        text = json.dumps([_VERSION, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def start_of(environment: str) -> TinyStart:
    """The tiny model's start on an environment, unless another is asked for."""
    return TinyStart(EnvironmentSettings(environment, TINY_ENVIRONMENT[environment]))


def tiny_start(
    environment: str = "web", *, say: Say = print, start: TinyStart | None = None, shown: Sequence[Transcript] = ()
) -> Policy:
    """The tiny policy after its cold start on an environment's training worlds; made now if it was not yet.

    shown: transcripts to learn from instead.
    """
    start = start or start_of(environment)
    name = f"{start.environment.name}-{start.digest()}"
    if shown:
        name += f"-{hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:12]}"
    folder = cache_folders()[0] / "tiny" / name
    if not (folder / "done").exists():
        with whole_folder(folder) as aside:
            make_tiny(start, aside, say, shown)
            (aside / "done").touch()
    else:
        say(f"cold start: taken from {folder}")
    return load_policy(folder)


def starting_policy(config: RunConfig, say: Say = print) -> Policy:
    """The policy a run starts from: `loaded_policy`, or one that learned from demonstrations of a file or an oracle."""
    _use_threads(config)
    if config.demonstrations is not None:
        from algorithms.training.demonstrated import demonstrated_policy

        return demonstrated_policy(config, say)
    if config.oracle_demonstrations:
        from algorithms.training.oracle_start import oracle_start

        return oracle_start(config, say)
    return loaded_policy(config, say)


def loaded_policy(config: RunConfig, say: Say = print) -> Policy:
    """The policy that `config.model` names, on its device, computed with the run's number of threads."""
    from transformers.utils import logging

    _use_threads(config)
    quiet: Any = logging
    quiet.disable_progress_bar()  # bars of a moment each, among lines that a person reads
    device = resolved_device(config.device)
    if config.model != "tiny":
        return load_policy(model_folder(config.model), device)
    arguments = config.environment.arguments
    if arguments.get("corpus", "generated") != "generated" or "tasks" in arguments:
        say("the tiny model's cold start is on the generated worlds: of other pages and questions it knows little")
    policy = tiny_start(config.environment.name, say=say)
    return Policy(policy.model.to(device), policy.tokenizer)


def _use_threads(config: RunConfig) -> None:
    import torch

    torch.set_num_threads(config.threads or len(os.sched_getaffinity(0)))


def model_folder(name: str) -> str:
    """Where a model is loaded from: a folder, or a name on the hub.

    Raises:
        ValueError: a name of ours that is misspelt, or one whose model is not there.
    """
    if name == "smollm2":
        return str(smollm2.folder())
    is_folder = Path(name).is_dir()
    if not is_folder and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise ValueError(f"There is no model at {name!r}: give tiny, smollm2, a folder, or a name on the hub.")
    if not is_folder and "/" not in name and (hint := did_you_mean(name, MODELS)) != ".":
        raise ValueError(f"There is no model {name!r}{hint}")
    return name


def make_tiny(start: TinyStart, folder: Path, say: Say, shown: Sequence[Transcript] = ()) -> None:
    """Train from nothing and write the policy, its settings and its loss curve into `folder`.

    shown: transcripts to learn from, all steps long; none: those of an oracle, until it is enough.
    """
    import torch

    (folder / "settings.json").write_text(json.dumps(asdict(start), indent=2) + "\n", "utf-8")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the number of threads decides the last bits of sums, and with them which start it is
    try:
        tokenizer = _tokenizer(start, shown)
        model = tiny_model(len(tokenizer), start.training.seed, start.shape)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        say(
            f"cold start: {parameters / 1e6:.2f} M parameters, at most {start.training.steps} steps on "
            f"{f'{len(shown)} demonstrations' if shown else 'the demonstrations of an oracle'}"
        )
        policy = Policy(model, tokenizer)
        _learn(start, policy, folder / "log.jsonl", say, shown)
        policy.save(folder)
    finally:
        torch.set_num_threads(threads)


def _tokenizer(start: TinyStart, shown: Sequence[Transcript]) -> Any:
    said: list[str] = texts(shown)
    for world in range(0 if shown else start.tokenizer_worlds):
        env = make_environment(start.environment, "train", TOKENIZER_WORLDS + world)
        played, _ = transcripts(env, range(start.tokenizer_questions))
        said += texts(played)
        env.close()
    return tiny_tokenizer(said, start.vocabulary)


def _learn(start: TinyStart, policy: Policy, log: Path, say: Say, shown: Sequence[Transcript]) -> None:
    cold = ColdStart(policy.model, policy.codec, start.training)
    began = time.perf_counter()

    def source(world: int) -> Any:
        return make_environment(start.environment, "train", COLD_START_WORLDS + world)

    wanted = start.enough.success
    check = None if shown else Check(start.enough, start.environment, start.training.seed)
    with log.open("w", encoding="utf-8") as lines:
        recent: list[float] = []
        found: float | None = None
        is_enough = False
        for report in cold.learn(itertools.repeat(shown)) if shown else cold.train(source):
            recent = [*recent[-49:], report.action_loss]
            solved = check.solved(policy, report.step) if check else None
            found = found if solved is None else solved
            is_enough = solved is not None and solved >= wanted
            is_last = is_enough or report.step == start.training.steps
            if is_last or solved is not None or report.step % 50 == 0:
                line = report._asdict() | {"action_loss_of_50": sum(recent) / len(recent)}
                lines.write(json.dumps(line | ({} if solved is None else {"solved": solved})) + "\n")
            if is_last or solved is not None or report.step % 100 == 0:
                checked = (
                    ""
                    if solved is None
                    else f"; solves {100 * solved:.1f} % of other training questions, {100 * wanted:g} end it"
                )
                say(
                    f"cold start: step {report.step}, loss on actions {sum(recent) / len(recent):.2f}, "
                    f"{report.demonstrations} demonstrations, {time.perf_counter() - began:.0f} s{checked}"
                )
            if is_last:
                break
    if found is not None and not is_enough:
        say(f"cold start: ended after all its steps, at {100 * found:.1f} % of {100 * start.enough.success:g} % wanted")
    if cold.failed:
        say(f"cold start: the oracle failed on {cold.failed} questions, which were left out")
