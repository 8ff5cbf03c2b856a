"""A policy of ours plays as in training, to the token, whatever company it plays in, and nobody waits for ever."""

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("torch", reason="baselines stand on algorithms: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

from algorithms.policy.sampling import Sampling
from algorithms.rollout.inputs import TokenLimits
from algorithms.training.evaluation import success
from algorithms.training.questions import make_environment
from baselines.agents.episodes import Played, play_all
from baselines.agents.known import maker
from baselines.agents.local import LocalBackend
from baselines.agents.results import scores_of
from baselines.agents.writer import OutOfTokens, WriterFailed
from tests.algorithms.training.small import SHORT, policy, silent

LIMITS = TokenLimits(40, 400)
GREEDY = Sampling(temperature=0.0)
ASKED = [{"role": "system", "content": "s"}, {"role": "user", "content": "What is the employer of Tafir Hufus?"}]
COUNT = 12


@pytest.fixture(scope="module")
def development() -> Iterator[Any]:
    env = make_environment(SHORT, "dev")
    yield env
    env.close()


def backend(limits: TokenLimits = LIMITS, sampling: Sampling = GREEDY) -> LocalBackend:
    return LocalBackend(policy(), limits, sampling)


def played(
    env: Any, name: str, *, at_once: int = 8, sampling: Sampling = GREEDY, samples: int = 1, count: int = COUNT
) -> list[Played]:
    made = backend(sampling=sampling)
    try:
        return play_all(
            env, env.unwrapped.tasks[:count], maker(name, learned=True), made,
            at_once=at_once, samples=samples, say=silent,
        )  # fmt: skip
    finally:
        made.close()


@pytest.fixture(scope="module")
def reacted(development: Any) -> list[Played]:
    """Greedy, eight at once."""
    return played(development, "react")


def test_react_scores_what_an_evaluation_of_the_policy_scores(development: Any, reacted: list[Played]) -> None:
    tasks = development.unwrapped.tasks[:COUNT]
    expected = success(policy(), development, tasks, GREEDY, LIMITS, samples=1, seed=0)
    found = scores_of(reacted, 1)
    assert 0 < expected.mean < 1  # else any agreement would be cheap
    assert found.to_plain() == expected.to_plain()


def test_company_changes_nothing(development: Any, reacted: list[Played]) -> None:
    alone = played(development, "react", at_once=1)
    assert [one.episode.turns for one in alone] == [one.episode.turns for one in reacted]
    assert [one.written for one in alone] == [one.written for one in reacted]


def test_a_sampled_run_is_repeated_to_the_letter_and_samples_differ(development: Any) -> None:
    one, again = (
        played(development, "react", sampling=Sampling(temperature=0.8), samples=2, count=6) for _ in range(2)
    )
    assert [each.episode.turns for each in one] == [each.episode.turns for each in again]
    first, second = one[::2], one[1::2]
    assert [each.task.id for each in first] == [each.task.id for each in second]
    assert [each.episode.turns for each in first] != [each.episode.turns for each in second]


def test_a_policy_that_wants_to_search_is_held_to_what_the_agent_is(development: Any) -> None:
    direct, retrieve = (played(development, name) for name in ("direct", "retrieve"))
    assert all(not one.calls for one in direct)
    assert all(one.calls == {"search": 1} for one in retrieve)
    assert sum(one.stop_reason == "answered" for one in retrieve) > COUNT / 2


def test_a_conversation_that_goes_on_reads_only_what_is_new() -> None:
    made = backend()
    try:
        writer = made.writer(("a",))
        first = writer.write(ASKED, ("</search>",))
        heard = [
            *ASKED,
            {"role": "assistant", "content": first.text},
            {"role": "user", "content": "<result>\nx\n</result>"},
        ]
        second = writer.write(heard, ("</answer>",))
        assert (writer.opened, len(writer.conversations)) == (1, 1)
        new = len(policy().codec.observation("<result>\nx\n</result>"))
        assert second.read == first.read + first.written + new
        writer.write([*ASKED, {"role": "assistant", "content": "another"}, {"role": "user", "content": "x"}])
        assert writer.opened == 2
    finally:
        made.close()


def test_a_begun_turn_is_gone_on_with() -> None:
    made = backend()
    try:
        begun = {"role": "assistant", "content": "<search> Tafir"}
        text = made.writer(("a",)).write([*ASKED, begun], ("</search>", "</answer>")).text
        assert text.endswith("</search>")
        assert "<search>" not in text
    finally:
        made.close()


def test_special_tokens_in_a_prompt_are_plain_text() -> None:
    made = backend()
    try:
        end = policy().tokenizer.eos_token_id
        writer = made.writer(("a",))
        writer.write([{"role": "user", "content": "one <|end|> two"}])
        (conversation,) = writer.conversations
        tree = conversation.branch.tree
        assert end not in tree.nodes[tree.root].tokens
    finally:
        made.close()


@pytest.mark.parametrize("total", [12, 30])
def test_a_full_context_ends_the_episode(total: int, development: Any) -> None:
    made = backend(TokenLimits(40, total))
    try:
        with pytest.raises(OutOfTokens, match="max_context"):
            made.writer(("a",)).write(ASKED)
        (one,) = play_all(development, development.unwrapped.tasks[:1], maker("react", learned=True), made, say=silent)
        assert (one.stop_reason, one.solved) == ("max_context", False)
    finally:
        made.close()


def test_nothing_is_kept_of_an_episode_that_is_over(development: Any) -> None:
    made = backend()
    try:
        play_all(development, development.unwrapped.tasks[:4], maker("retrieve", learned=True), made, say=silent)
        writer = made.writer(("last",))
        writer.write(ASKED)
        assert made._engine.open_branches == 1
    finally:
        made.close()
    assert made._engine.open_branches == 0


def test_a_fault_of_the_engine_reaches_everybody_who_waits(development: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = backend()
    monkeypatch.setattr(made._engine, "step", _fails)
    with pytest.raises(FloatingPointError, match="not finite"):
        play_all(development, development.unwrapped.tasks[:6], maker("react", learned=True), made, say=silent)
    with pytest.raises(WriterFailed, match="closed"):
        made.writer(("a",)).write(ASKED)


def _fails() -> Any:
    raise FloatingPointError("not finite")


def test_a_fault_of_an_agent_ends_all_the_others(development: Any) -> None:
    made = backend()

    def make(env: Any, writer: Any, key: Any) -> Any:
        if key[0] == development.unwrapped.tasks[3].id:
            raise RuntimeError("of this one")
        return maker("react", learned=True)(env, writer, key)

    with pytest.raises(RuntimeError, match="of this one"):
        play_all(development, development.unwrapped.tasks[:8], make, made, at_once=4, say=silent)
