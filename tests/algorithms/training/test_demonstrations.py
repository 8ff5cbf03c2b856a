"""Demonstrations replay from their tokens alone; the loss falls on the right ones; no dev name is in any of them."""

import re
from itertools import pairwise
from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

from aepo_env.worlds.web.names import SHARED_WORDS, split_of
from algorithms.policy.codec import ChatCodec
from algorithms.training.config import TINY_ENVIRONMENT, EnvironmentSettings
from algorithms.training.demonstrations import Transcript, encoded, texts, transcripts
from algorithms.training.questions import (
    CHECK_WORLD,
    COLD_START_WORLDS,
    RUN_WORLDS,
    TOKENIZER_WORLDS,
    WORLDS_OF_A_RUN,
    Questions,
    make_environment,
)
from algorithms.training.tiny_start import TinyStart
from tests.algorithms.training.small import WEB, demonstrations, tokenizer

COUNT = 40


def spans(weights: list[float]) -> list[tuple[float, int, int]]:
    """Stretches of equal weight: (weight, start, end)."""
    edges = [0, *(i for i in range(1, len(weights)) if weights[i] != weights[i - 1]), len(weights)]
    return [(weights[a], a, b) for a, b in pairwise(edges)]


@pytest.fixture(scope="module")
def played() -> tuple[Transcript, ...]:
    return demonstrations(COLD_START_WORLDS, COUNT)


def test_every_demonstration_replays_from_its_tokens_and_solves_the_task(played: tuple[Transcript, ...]) -> None:
    env = make_environment(WEB, "train", COLD_START_WORLDS)
    codec, inner = ChatCodec(tokenizer()), env.unwrapped
    assert len(played) == COUNT
    kinds = set()
    for number, one in enumerate(played):
        row = encoded(one, codec, observation_weight=0.5)
        _, info = env.reset(seed=number + 1_000, options={"task": inner.tasks[number]})  # type: ignore[attr-defined]
        place = len(codec.prompt(info["messages"]))
        assert row.tokens[:place] == codec.prompt(info["messages"])
        ended, turns = False, 0
        while not ended:
            _, _, stop = next(span for span in spans(row.weights) if span[1] == place)
            observation, _, terminated, truncated, _ = env.step(codec.text(row.tokens[place:stop]))
            ended, place, turns = terminated or truncated, stop, turns + 1
            said = [] if ended else codec.observation(observation)
            assert row.tokens[place : place + len(said)] == said
            place += len(said)
        episode = inner.episode  # type: ignore[attr-defined]
        assert place == len(row.tokens)
        assert episode.rewards["accuracy"] == 1.0
        assert turns == len(one.turns)
        kinds.add(episode.task.family)
    assert len(kinds) == 4
    env.close()


def test_weights_are_0_on_the_prompt_1_on_turns_and_as_asked_on_observations(played: tuple[Transcript, ...]) -> None:
    codec = ChatCodec(tokenizer())
    for one in played:
        row = encoded(one, codec, observation_weight=0.25)
        assert len(row.tokens) == len(row.weights)
        found = spans(row.weights)
        assert [weight for weight, _, _ in found] == [0.0, *[1.0, 0.25] * (len(one.turns) - 1), 1.0]
        read = [tokenizer().decode(row.tokens[start:end]) for _, start, end in found]
        parts = [one.messages[-1]["content"] + "\n", *(part for turn in one.turns for part in turn if part)]
        expected = [tokenizer().decode(tokenizer().encode(part, add_special_tokens=False)) for part in parts]
        assert read == expected


def test_an_episode_that_was_not_solved_is_counted_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from aepo_env.agent import Oracle

    rightly, asked = Oracle.act, iter(range(1_000))

    def wrongly(self: Any, observation: str, info: Any) -> str:
        text = str(rightly(self, observation, info))
        return text.replace("\\boxed{", "\\boxed{not ") if next(asked) < 8 else text

    monkeypatch.setattr(Oracle, "act", wrongly)
    env = make_environment(WEB, "train", COLD_START_WORLDS)
    solved, failed = transcripts(env, range(10))
    env.close()
    assert failed > 0
    assert len(solved) == 10 - failed
    assert not any("not " in text for one in solved for text, _ in one.turns)


def foreign(said: list[str]) -> set[str]:
    """Words with a capital that belong to dev or test by their letters; those that all splits share left out.

    A new sentence of the pages may begin with such a word by chance: then it belongs to what is left out here.
    """
    found = set(re.findall(r"\b[A-Z][a-z]+\b", " ".join(said)))
    return {word for word in found if word.lower() not in SHARED_WORDS and split_of(word) != "train"}


def test_no_text_that_is_trained_on_has_a_name_of_another_split() -> None:
    env = make_environment(WEB, "dev")
    assert len(foreign([env.unwrapped.tasks[i].question for i in range(100)])) > 50
    env.close()
    said = [text for world in (0, 1, 2) for text in texts(demonstrations(COLD_START_WORLDS + world, COUNT))]
    said += [text for world in range(4) for text in texts(demonstrations(TOKENIZER_WORLDS + world, 40))]
    for seed in (0, 1, 99):
        for cursor in (0, 5 * WEB.world_questions):
            questions = Questions(WEB, seed, cursor)
            env, tasks = questions.next(30)
            said += [task.question for task in tasks] + [answer for task in tasks for answer in task.answers]
            said += texts(transcripts(env, range(5))[0])
            questions.close()
    assert foreign(said) == set()


def test_worlds_of_tokenizer_cold_start_and_runs_do_not_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    monkeypatch.setattr(
        "algorithms.training.questions.make_environment", lambda settings, split, seed: opened.append(seed)
    )
    start = TinyStart(WEB)
    used = [set(range(COLD_START_WORLDS, COLD_START_WORLDS + 10_000))]  # ten times what a cold start can use
    used.append(set(range(TOKENIZER_WORLDS, TOKENIZER_WORLDS + 100 * start.tokenizer_worlds)))
    used.append({CHECK_WORLD})
    for seed in range(100):
        questions = Questions(WEB, seed)
        for world in (0, 1, 2, WORLDS_OF_A_RUN - 1):
            questions._env = None
            questions._open(world)
        assert opened[-4:] == [RUN_WORLDS + seed * WORLDS_OF_A_RUN + world for world in (0, 1, 2, WORLDS_OF_A_RUN - 1)]
        used.append(set(range(opened[-4], opened[-1] + 1)))
    assert sum(map(len, used)) == len(set().union(*used))
    most = start.training.steps * start.training.tokens // 30  # demonstrations: none is shorter than 30 tokens
    assert most // start.training.questions < 10_000


def test_episodes_solved_under_exact_match_are_demonstrations_too() -> None:
    """The default run's reward has no part called accuracy."""
    env = make_environment(EnvironmentSettings("web", TINY_ENVIRONMENT["web"]), "train")
    played, failed = transcripts(env, range(3))
    env.close()
    assert TINY_ENVIRONMENT["web"]["reward"] == "exact_match"
    assert (len(played), failed) == (3, 0)
