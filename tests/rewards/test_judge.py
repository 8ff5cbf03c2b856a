"""The judge: how a reply is read, when the model is asked, and what happens when it cannot be had."""

from collections.abc import Callable

import pytest

from aepo_env.env import ToolEnv
from aepo_env.rewards.judge import JudgeUnavailable, judge, judge_prompt, judge_reward, read_judgement
from aepo_env.tasks import Task
from tests.rewards.episodes import finished


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("<judgment>Correct</judgment>", True),
        ("That is wrong, or is it? <judgment>Correct</judgment>", True),  # only the tagged part counts
        ("<judgment>Incorrect</judgment>", False),
        ("correct", True),
        ("Not correct.", False),
        ("I see nothing wrong: correct", False),
        ("<judgment>correct", True),  # never closed: the whole reply
        ("", False),
    ],
)
def test_reading(reply: str, right: bool) -> None:
    assert read_judgement(reply) is right


def replies(*texts: str | Exception) -> tuple[Callable[[str], str], list[str]]:
    prompts: list[str] = []

    def complete(prompt: str) -> str:
        text = texts[len(prompts)]
        prompts.append(prompt)
        if isinstance(text, Exception):
            raise text
        return text

    return complete, prompts


def test_equal_spelling_asks_nobody() -> None:
    complete, prompts = replies()
    assert judge("Which?", r"\frac12", ["x", "1/2"], complete)
    assert prompts == []


def test_a_failing_model_is_asked_three_times_with_growing_pauses() -> None:
    complete, prompts = replies(OSError(), OSError(), "Correct")
    pauses: list[float] = []
    assert judge("Which?", "Lutetia", "Paris", complete, sleep=pauses.append)
    assert (len(prompts), pauses) == (3, [1.0, 2.0])
    complete, prompts = replies(OSError(), OSError(), OSError())
    assert not judge("Which?", "Lutetia", "Paris", complete, sleep=pauses.append)
    assert len(prompts) == 3


def test_prompt_holds_question_answers_and_prediction() -> None:
    prompt = judge_prompt("Which city?", "Lutetia", ["Paris", "Paname"])
    assert all(part in prompt for part in ("Which city?", "Lutetia", "- Paris\n- Paname"))


def test_reward_does_not_judge_a_missing_answer() -> None:
    complete, prompts = replies("Correct")
    assert judge_reward(complete)(finished(None, "Paris")).total == 0.0
    assert prompts == []
    assert judge_reward(complete)(finished("Lutetia", "Paris")).total == 1.0


def test_an_answer_is_never_wrong_because_the_judge_is_down() -> None:
    complete, prompts = replies(OSError(), OSError(), ValueError("no JSON"))
    with pytest.raises(JudgeUnavailable, match="no JSON"):
        judge_reward(complete, sleep=lambda pause: None)(finished("Lutetia", "Paris"))
    assert len(prompts) == 3


def test_an_environment_whose_judge_is_down_gives_an_invalid_episode() -> None:
    complete, _ = replies(*[OSError()] * 3)
    env = ToolEnv([Task("t", "Which?", ("Paris",))], [], judge_reward(complete, sleep=lambda pause: None))
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step("<answer>Lutetia</answer>")
    assert (reward, terminated, info["valid"], info["rewards"]) == (0.0, True, False, {})
