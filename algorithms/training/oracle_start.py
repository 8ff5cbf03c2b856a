"""The cold start of a pre-trained model: supervised learning on episodes that the environment's oracle played.

    policy = oracle_start(config, say)               # config.oracle_demonstrations says how many

They are played in the run's own environment, on training questions, and only those are taken that were solved and that
fit into the run's limit of tokens. Of smollm2 the result is kept in the user's cache folder, under the digest of all
that decides it, with `log.jsonl` (the loss curve); of other models it is kept with the run's checkpoints alone.

Left out: the tiny model, which is made from nothing (`training.tiny_start`).
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from aepo_env.corpus import cache_folders
from aepo_env.files import SUMS, whole_folder
from algorithms.policy import smollm2
from algorithms.policy.loading import Policy, load_policy, resolved_device
from algorithms.rollout.streams import generator
from algorithms.training.cold_start import ColdStartSettings
from algorithms.training.config import RunConfig
from algorithms.training.demonstrated import learn
from algorithms.training.demonstrations import Transcript, encoded, transcripts
from algorithms.training.questions import COLD_START_WORLDS, make_environment
from algorithms.training.tiny_start import Say, loaded_policy

_VERSION = 1  # raise it when the same settings give another result

SETTINGS = ColdStartSettings(tokens=2_048, learning_rate=1e-4, cooldown=0.9, weight_decay=0.0, observation_weight=0.0)
"""Each demonstration is seen once: what is to be learned is the format and how these pages are read, and the model may
not forget what it knows. steps and warmup follow the demonstrations."""

EPOCHS = 1
_TRIED = 4  # questions for each demonstration wanted; an oracle that needs more is of no use
_ONE_WORLD = 10_000  # questions looked at of an endless world


def oracle_start(config: RunConfig, say: Say) -> Policy:
    """The policy after its cold start; made now if it was not yet.

    Raises:
        ValueError: the environment's oracle does not solve as many questions as are asked for.
    """
    say(
        f"cold start on oracle demonstrations: {config.oracle_demonstrations} episodes of a scripted oracle are learned"
    )
    policy = loaded_policy(config, say)
    shown = shown_by_oracle(config, policy.codec, say)
    if config.model != "smollm2":
        learn(policy, shown, say, SETTINGS, epochs=EPOCHS)
        return policy
    folder = _folder(policy, shown)
    if (folder / "done").exists():
        say(f"cold start on oracle demonstrations: taken from {folder}")
    else:
        _kept(policy, shown, folder, say)
    # Made or found, the policy is the one that was written.
    made = load_policy(folder)
    return Policy(made.model.to(resolved_device(config.device)), made.tokenizer)


def shown_by_oracle(config: RunConfig, codec: Any, say: Say) -> list[Transcript]:
    """The first so many demonstrations that are right and short enough, of training questions in a fixed order."""
    env = make_environment(config.environment, "train", COLD_START_WORLDS)
    wanted = config.oracle_demonstrations
    kept: list[Transcript] = []
    failed = long = 0
    try:
        for indices in _order(len(env.unwrapped.tasks), wanted):
            played, lost = transcripts(env, indices)
            fitting = [one for one in played if _length(one, codec) <= config.total_tokens]
            kept, failed, long = kept + fitting, failed + lost, long + len(played) - len(fitting)
            if len(kept) >= wanted:
                break
    except ValueError as error:
        raise ValueError(
            f"The cold start learns from an oracle, and there is none for these questions ({error}) Give "
            "--demonstrations FILE, or leave it out: --set oracle_demonstrations=0."
        ) from error
    finally:
        env.close()
    if len(kept) < wanted:
        raise ValueError(
            f"The oracle has {len(kept)} demonstrations of at most {config.total_tokens} tokens, {wanted} are wanted "
            f"({failed} questions not solved, {long} episodes longer): ask for fewer with --set "
            "oracle_demonstrations=N, or give its tools or total_tokens more room."
        )
    say(f"cold start on oracle demonstrations: {failed} not solved and {long} too long were left out")
    return kept[:wanted]


def _order(size: int, wanted: int) -> Iterator[list[int]]:
    """Places of questions, some at a time."""
    order = generator(0, 0, "demonstrations").permutation(min(size, _ONE_WORLD)).tolist()[: _TRIED * wanted]
    for start in range(0, len(order), wanted):
        yield order[start : start + wanted]


def _length(one: Transcript, codec: Any) -> int:
    return len(encoded(one, codec, observation_weight=0.0).tokens)


def _decisive() -> dict[str, Any]:
    """Of `SETTINGS`; steps and warmup follow the demonstrations."""
    return {name: value for name, value in asdict(SETTINGS).items() if name not in ("steps", "warmup")}


def _folder(policy: Policy, shown: list[Transcript]) -> Path:
    """Sums differ in their last digits with the number of threads, and so do the weights after many of them."""
    sums = (smollm2.folder() / SUMS).read_text("utf-8")
    untyped: Any = policy.model
    kind = untyped.device.type
    where = f"cpu, {torch.get_num_threads()} threads" if kind == "cpu" else kind
    decisive = json.dumps([_VERSION, EPOCHS, _decisive(), sums, shown, where], sort_keys=True)
    return cache_folders()[0] / "cold-start" / f"smollm2-{hashlib.sha256(decisive.encode()).hexdigest()[:12]}"


def _kept(policy: Policy, shown: list[Transcript], folder: Path, say: Say) -> None:
    """Learn, and write the policy and its loss curve into `folder`."""
    with whole_folder(folder) as aside:
        settings = {"demonstrations": len(shown), "epochs": EPOCHS, **_decisive()}
        (aside / "settings.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
        learn(policy, shown, say, SETTINGS, epochs=EPOCHS, log=aside / "log.jsonl")
        policy.save(aside)
        (aside / "done").touch()
