"""Cold start: supervised learning on an oracle's episodes, which gives a model the format and some skill before RL.

    run = ColdStart(model, codec, settings)
    for report in run.train(source):                # source: world number -> environment
        print(report.step, report.action_loss)

Deterministic for a given thread count: the number of steps is fixed, or whoever reads the reports breaks off, never the
time. The recipe (many small steps, loss
on what pages say too, at half weight) is for models that start from nothing; a pre-trained one needs other settings.

Left out: where results are stored (`training.tiny_start`), when it is enough (`training.enough`).
"""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from algorithms.training.demonstrations import Row, Transcript, encoded, transcripts


@dataclass(frozen=True, slots=True)
class ColdStartSettings:
    """How to learn from demonstrations.

    Attributes:
        steps: optimiser steps, where nobody breaks off before. tokens: of demonstrations a step, padding included.
        questions: demonstrations taken from a world before the next one.
        learning_rate: reached after `warmup` steps, lowered to 5 % of it over the last `cooldown` of all steps.
        observation_weight: loss weight of what pages say; learning to read them is part of the skill.
    """

    steps: int = 400
    tokens: int = 768
    questions: int = 300
    learning_rate: float = 5e-3
    warmup: int = 40
    cooldown: float = 0.3
    weight_decay: float = 0.05
    observation_weight: float = 0.5
    seed: int = 0


class ColdStartReport(NamedTuple):
    """After a step: means over the step's tokens. tokens, demonstrations: seen so far; failed: of the oracle's."""

    step: int
    action_loss: float
    loss: float
    learning_rate: float
    tokens: int
    demonstrations: int
    failed: int


class ColdStart:
    """Supervised training of `model`, in place."""

    def __init__(self, model: Any, codec: Any, settings: ColdStartSettings) -> None:
        self.model, self.codec, self.settings = model, codec, settings
        decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
        others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.95), fused=True)
        self.demonstrations = self.failed = self.tokens = 0

    def train(self, source: Callable[[int], Any]) -> Iterator[ColdStartReport]:
        """Take `settings.steps` steps on what the oracle of each world does; a report after each."""
        return self.learn(self._oracle(source))

    def learn(self, rounds: Iterator[Sequence[Transcript]]) -> Iterator[ColdStartReport]:
        """Take `settings.steps` steps on rounds of transcripts, each shuffled by itself; a report after each."""
        batches = self._batches(rounds)
        for step in range(1, self.settings.steps + 1):
            batch = next(batches)
            self.model.train()
            rate = self._learning_rate(step)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            action_loss, loss = self._step(batch)
            self.model.eval()  # while a report is read: whoever breaks off, or evaluates, has a model that is ready
            yield ColdStartReport(step, action_loss, loss, rate, self.tokens, self.demonstrations, self.failed)

    def _step(self, batch: list[Row]) -> tuple[float, float]:
        ids, weights = (part.to(self.model.device) for part in padded(batch))
        self.tokens += ids.numel()
        counted = weights[:, 1:] > 0
        # Right-padded and causal: no real token sees a padded one, so no mask is needed.
        hidden = self.model.base_model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1][counted]
        logits = self.model.get_output_embeddings()(hidden)
        losses = functional.cross_entropy(logits, ids[:, 1:][counted], reduction="none")
        of_token = weights[:, 1:][counted]
        loss = (losses * of_token).sum() / of_token.sum()
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0, error_if_nonfinite=True)
        self.optimiser.step()
        return float(losses[of_token == 1].mean().detach()), float(loss.detach())

    def _learning_rate(self, step: int) -> float:
        done = (step - 1) / self.settings.steps
        rising = min(1.0, step / self.settings.warmup)
        falling = max(0.05, min(1.0, (1 - done) / self.settings.cooldown))
        return self.settings.learning_rate * rising * falling

    def _oracle(self, source: Callable[[int], Any]) -> Iterator[Sequence[Transcript]]:
        """Worlds without end."""
        for world in itertools.count():
            env = source(world)
            played, failed = transcripts(env, range(self.settings.questions))
            env.close()
            if not played:
                raise ValueError(f"The oracle solved none of {self.settings.questions} questions of world {world}.")
            self.failed += failed
            yield played

    def _batches(self, rounds: Iterator[Sequence[Transcript]]) -> Iterator[list[Row]]:
        """Rows of like length together, in an order drawn per round."""
        for number, played in enumerate(rounds):
            rows = [encoded(one, self.codec, observation_weight=self.settings.observation_weight) for one in played]
            batches = of_like_length(rows, self.settings.tokens)
            random.Random(f"{self.settings.seed}/{number}").shuffle(batches)
            for batch in batches:
                self.demonstrations += len(batch)
                yield batch


def of_like_length(rows: list[Row], tokens: int) -> list[list[Row]]:
    """Rows in batches of at most `tokens` places, the longest row's padding counted; a longer row is alone."""
    batches: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: len(row.tokens)):
        if not batches or (len(batches[-1]) + 1) * len(row.tokens) > tokens:
            batches.append([])
        batches[-1].append(row)
    return batches


def padded(rows: list[Row]) -> tuple[Tensor, Tensor]:
    """Ids and weights of some rows, [rows, longest], padded on the right with weight 0."""
    longest = max(len(row.tokens) for row in rows)
    ids, weights = torch.zeros(len(rows), longest, dtype=torch.long), torch.zeros(len(rows), longest)
    for place, row in enumerate(rows):
        ids[place, : len(row.tokens)] = torch.tensor(row.tokens)
        weights[place, : len(row.weights)] = torch.tensor(row.weights)
    return ids, weights
