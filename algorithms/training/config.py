"""RunConfig: everything that decides a run, as plain data that a YAML file holds.

    config = preset("default", environment="web")
    config = replace(config, seed=1, questions=32)
    RunConfig.from_plain(yaml.safe_load(text)) == config

`PRESETS` says what each preset is for. Settings of the algorithm are its own (`algorithms.aepo` and so on); `settings`
holds what a preset or the command line changed in them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, get_args, get_origin

from aepo_env.text import did_you_mean
from algorithms.policy.learner import OptimiserSettings
from algorithms.policy.lora import LoraSettings
from algorithms.rollout.paths import Schedule
from algorithms.settings import converted

ENVIRONMENTS = {"web": "aepo_env/Web-v0", "search": "aepo_env/Search-v0", "code": "aepo_env/Code-v0"}
"""What `--env` may say, and the registered environment behind it."""

PRESETS = {
    "smoke": "two steps of the tiny model: shows within a minute, once its cold start is made, that everything works",
    "quick": "a minute and a half of reinforcement learning of the tiny model: for comparisons over many seeds",
    "default": "the tiny model trained on two cores within eight minutes",
    "paper": "the published sizes: needs GPUs",
}
"""What `--preset` may say, and what each is for."""

DEVICES = ("auto", "cpu", "cuda")
LOGS = ("jsonl", "wandb")
"""What `--device` and `--log` may say."""


@dataclass(frozen=True)
class EnvironmentSettings:
    """An environment and how it is made.

    Attributes:
        name: a key of `ENVIRONMENTS`.
        arguments: of `gymnasium.make`, without split and world seed.
        world_questions: questions taken from one generated world before the next one opens.
    """

    name: str = "web"
    arguments: dict[str, Any] = field(default_factory=dict)
    world_questions: int = 196

    def __post_init__(self) -> None:
        _one_of("env", self.name, ENVIRONMENTS)
        if self.world_questions < 1:
            raise ValueError(f"world_questions must be at least 1; got {self.world_questions}.")


@dataclass(frozen=True)
class EvaluationSettings:
    """Success on unseen questions: greedy, and the mean of `samples` at the paper's temperature.

    Attributes:
        questions: the first so many of the dev split. samples: a question, at `temperature` and `top_p`.
        every: steps between evaluations while training, greedy only; 0 evaluates before and after alone.
    """

    questions: int = 400
    samples: int = 4
    temperature: float = 0.6
    top_p: float = 1.0
    every: int = 0

    def __post_init__(self) -> None:
        if self.questions < 1 or self.samples < 1 or self.every < 0:
            raise ValueError(f"An evaluation has questions and samples of at least 1, and every >= 0; got {self}.")


@dataclass(frozen=True)
class RunConfig:
    """A run. questions: of a rollout batch; turn_tokens, total_tokens: limits in tokens; threads: torch's, 0 for all.

    cooldown: share of the run, at its end, over which the learning rate falls as `optimiser.fall` says; 0: it stays.
    lora: adapters to train instead of the weights.
    audited: share of sampled tokens whose log-probability is computed again at each step.
    schedule: when fork decisions fall: "logical", equal to the bit when repeated, or "arrival", for tools that take
    their time (`rollout.paths.Schedule`).
    tool_threads: environments that step at once; 0: in place, for tools that answer at once.
    traces: how many questions of a step are written to traces/, with all their tokens; the others are counted alone.
    shuffled_rewards: a control that must not learn: rewards change places within the batch.
    demonstrations: a file of transcripts to learn from before (`training.demonstrations`), instead of an oracle's.
    oracle_demonstrations: of the environment's oracle, from which a pre-trained model learns before
        (`training.oracle_start`); 0: none. The tiny model has a cold start of its own.
    device: where the model is computed; "auto": on a GPU where there is one. log: of `LOGS`, with commas between.
    checkpoint_minutes: between two checkpoints; 0 writes one after every step. None: 0 for models of less than ten
        million parameters, 10 for others.
    """

    algorithm: str = "aepo"
    variant: str = "paper"
    settings: dict[str, Any] = field(default_factory=dict)
    environment: EnvironmentSettings = field(default_factory=EnvironmentSettings)
    model: str = "tiny"
    seed: int = 0
    steps: int = 100
    questions: int = 24
    turn_tokens: int = 64
    total_tokens: int = 768
    temperature: float = 1.0
    optimiser: OptimiserSettings = field(
        default_factory=lambda: OptimiserSettings(lr=5e-4, weight_decay=0.0, warmup_steps=20)
    )
    cooldown: float = 0.0
    lora: LoraSettings = field(default_factory=LoraSettings)
    token_budget: int = 16_384
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    audited: float = 0.02
    traces: int = 14
    threads: int = 0
    schedule: Schedule = "logical"
    tool_threads: int = 0
    shuffled_rewards: bool = False
    demonstrations: str | None = None
    oracle_demonstrations: int = 0
    device: str = "auto"
    log: str = "jsonl"
    checkpoint_minutes: float | None = None

    def __post_init__(self) -> None:
        _one_of("device", self.device, DEVICES)
        for name in self.log.split(","):
            _one_of("log", name, LOGS)
        for name, least in (
            ("seed", 0),
            ("steps", 0),
            ("questions", 1),
            ("turn_tokens", 1),
            ("total_tokens", 2),
            ("threads", 0),
            ("tool_threads", 0),
            ("traces", 0),
            ("oracle_demonstrations", 0),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}; got {getattr(self, name)}.")
        if self.oracle_demonstrations and self.model == "tiny":
            raise ValueError(
                "oracle_demonstrations are for pre-trained models; tiny has a cold start of its own: say 0."
            )
        if self.schedule not in get_args(Schedule):
            raise ValueError(f"schedule is {' or '.join(get_args(Schedule))}; got {self.schedule!r}.")
        if not 0 <= self.cooldown <= 1:
            raise ValueError(f"cooldown is a share of the run, 0 to 1; got {self.cooldown}.")
        if self.optimiser.fall != "linear" and not self.cooldown:
            raise ValueError(
                f"optimiser.fall={self.optimiser.fall} says how the learning rate falls, and with cooldown=0 it does "
                "not: say for which share of the run too, as cooldown=1."
            )
        if self.checkpoint_minutes is not None and not self.checkpoint_minutes >= 0:
            raise ValueError(f"checkpoint_minutes must be at least 0, or none; got {self.checkpoint_minutes}.")
        if not 0 <= self.audited <= 1 or self.temperature <= 0:
            raise ValueError(f"Expected audited in 0..1 and temperature > 0; got {self.audited}, {self.temperature}.")

    def to_plain(self) -> dict[str, Any]:
        """As a mapping of plain values."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "RunConfig":
        """The inverse of `to_plain`.

        Raises:
            ValueError: a field that does not exist, or a value of another type.
        """
        parts: dict[str, Any] = {
            "environment": EnvironmentSettings,
            "optimiser": OptimiserSettings,
            "lora": LoraSettings,
            "evaluation": EvaluationSettings,
        }
        if isinstance(optimiser := plain.get("optimiser"), Mapping):
            kept = {name: value for name, value in optimiser.items() if value or name not in _FORMER}
            plain = {**plain, "optimiser": kept}
        given = {name: _made(parts[name], value, name) if name in parts else value for name, value in plain.items()}
        made: RunConfig = _made(cls, given)
        return made


_FORMER = ("decay_start", "decay_steps")
"""Settings of the optimiser that are 0 in the config.yaml of runs begun earlier: `cooldown` decided even then."""


def _made(kind: Any, given: Any, where: str = "") -> Any:
    """A dataclass from plain values, which are checked."""
    if not isinstance(given, Mapping):
        raise ValueError(f"{where} takes names with values, not {given!r}.")
    known = {one.name: one for one in fields(kind)}
    values = {}
    for name, value in given.items():
        if name not in known:
            raise ValueError(
                f"{kind.__name__} has no {name}{did_you_mean(str(name), known)} There are {', '.join(known)}."
            )
        path = f"{where}.{name}" if where else str(name)
        if get_origin(known[name].type) is dict and not isinstance(value, Mapping):
            raise ValueError(f"{path} takes names with values, not {value!r}.")
        if get_origin(known[name].type) is tuple:  # YAML has lists alone
            if not isinstance(value, list | tuple) or len(value) != len(get_args(known[name].type)):
                raise ValueError(f"{path} takes {len(get_args(known[name].type))} numbers, not {value!r}.")
            numbers = zip(value, get_args(known[name].type), strict=True)
            values[name] = tuple(converted(one, of, path) for one, of in numbers)
        else:
            values[name] = converted(value, known[name].type, path)
    return kind(**values)


def _one_of(what: str, given: str, known: Iterable[str]) -> None:
    if given not in known:
        raise ValueError(f"{what} is one of {', '.join(known)}; got {given!r}{did_you_mean(given, known)}")


TINY_ENVIRONMENT: dict[str, dict[str, Any]] = {
    # One page a search, its whole text as the snippet: 50 tokens to read a turn, which a tiny model can.
    "web": {
        "difficulty": "tiny",
        "reward": "exact_match",
        "tools": ["search", "python"],
        "search": {"limit": 1, "snippet_characters": 1_000, "addresses": False},
        "limits": {"turns": 6, "tool_calls": 5, "malformed": 1},
    },
    "search": {
        "difficulty": "tiny",
        "reward": "exact_match",
        "search": {"limit": 1, "snippet_characters": 1_000, "addresses": False},
        "limits": {"turns": 6, "tool_calls": 5, "malformed": 1},
    },
    "code": {"difficulty": "tiny", "reward": "exact_match", "limits": {"turns": 4, "tool_calls": 3, "malformed": 1}},
}
"""Arguments of the environments for the tiny model.

The reward is exact match. Under the paper's (-1 for a wrong format) one malformed trajectory of a group makes all its
wrong answers look good, and a model this small, which writes malformed turns now and then, learns to guess quickly.
"""


def preset(name: str, environment: str = "web", model: str = "tiny", corpus: str = "generated") -> RunConfig:
    """A preset by name for one environment, and for the model and the pages where these want sizes of their own.

    Raises ValueError that lists the names.
    """
    _one_of("env", environment, ENVIRONMENTS)
    _one_of("preset", name, PRESETS)
    tiny = RunConfig(
        environment=EnvironmentSettings(environment, TINY_ENVIRONMENT[environment]),
        steps=70,
        questions=14,
        # A turn of the tiny model has some 16 tokens: ten reach over the name it read, where it is unsure.
        settings={"rollout.budget": 16, "rollout.look_ahead": 10, "epochs": 2},
        optimiser=OptimiserSettings(lr=4e-4, weight_decay=0.0, warmup_steps=20, train_embeddings=False),
        cooldown=0.5,
    )
    presets = {
        "smoke": replace(
            tiny,
            steps=2,
            questions=8,
            settings={"rollout.budget": 4, "rollout.look_ahead": 10},
            evaluation=EvaluationSettings(questions=20, samples=2),
        ),
        "quick": replace(
            tiny,
            steps=20,
            questions=7,
            optimiser=replace(tiny.optimiser, warmup_steps=10),
            evaluation=EvaluationSettings(questions=200, samples=4),
        ),
        "default": tiny,
        "paper": replace(
            tiny,
            # ARPO's and AEPO's scripts for deep search with 8B: 2,000 + 10,000 tokens, 6 calls, 5 epochs of 8 batches.
            environment=EnvironmentSettings(environment, {"limits": {"tool_calls": 6}}, world_questions=1_280),
            model="Qwen/Qwen3-8B",
            steps=40,
            questions=128,
            turn_tokens=4_096,
            total_tokens=12_000,
            settings={"updates": 8, "rollout.budget": 16, "rollout.look_ahead": 20},
            optimiser=OptimiserSettings(lr=1e-6),
            cooldown=0.0,
            traces=4,
            evaluation=EvaluationSettings(questions=400, samples=4, top_p=0.95, every=10),
        ),
    }
    if model == "smollm2" and name != "paper":
        from algorithms.training.smollm2_preset import for_smollm2

        return for_smollm2(presets[name], name, corpus)
    return presets[name]
