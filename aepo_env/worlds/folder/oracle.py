"""An agent that knows which pages answer a question, and must find and open every one of them with the tools.

    agent = GoldPagesOracle(task)       # task.metadata["supporting_pages"]: [{"title": …, "url": …}, …]
    play(env, agent); agent.found, agent.missing
    agent = SnippetOracle(task)         # the same where there is no browse: it reads search results alone

What it knows beforehand, and nothing else: the gold pages' titles and the answer. It proves that the pages are within
reach of search and browse, and it gives the answer only when the answer stands in the pages it has read (yes/no, which
stands nowhere: when it has opened every gold page).
"""

import re
import unicodedata
from typing import Any

from aepo_env.tasks import Task
from aepo_env.worlds.script import (
    ScriptedAgent,
    Steps,
    browse,
    has_next_part,
    hit_number,
    search,
    without_link_numbers,
)

_LONGEST_READ = 40  # parts of one page: a bound, so that a broken tool cannot hold it for ever


class GoldPagesOracle:
    """Finds the gold pages by title. `found` and `missing` list their titles once the episode has ended."""

    def __init__(self, task: Task) -> None:
        pages = task.metadata.get("supporting_pages")
        if not pages:
            raise ValueError(f'task {task.id}: no "supporting_pages" in its metadata, so no oracle can be made for it.')
        self._titles = list(dict.fromkeys(str(page["title"]) for page in pages))
        self._answers = task.answers
        self.found: list[str] = []
        self.missing: list[str] = []
        self._agent = ScriptedAgent(self._solve)

    def act(self, observation: str, info: dict[str, Any]) -> str:
        return self._agent.act(observation, info)

    def _solve(self, question: str) -> Steps:
        read: list[str] = []
        for title in self._titles:
            hits = yield search(title, f"I look for the page on {title}.")
            number = hit_number(hits, title)
            if not number:
                self.missing.append(title)
                continue
            part = yield browse(f"result {number}", "This is the page I need.")
            self.found.append(title)
            read.append(without_link_numbers(part))
            for _ in range(_LONGEST_READ):
                if self._standing_answer(read) or not has_next_part(part):
                    break
                part = yield browse("next", "The page goes on.")
                read.append(without_link_numbers(part))
        return self._concluded(read)

    def _concluded(self, read: list[str]) -> tuple[str, str]:
        """The answer and why, after all that could be read."""
        answer = self._standing_answer(read)
        if not answer and not self.missing and _plain(self._answers[0]) in ("yes", "no"):
            answer = self._answers[0]
        return answer or "not found", "The pages I read say so." if answer else "The pages I read do not say."

    def _standing_answer(self, read: list[str]) -> str:
        """The accepted answer that stands in what was read, word for word (case and punctuation aside); else ""."""
        text = f" {_plain(' '.join(read))} "
        spans = [a for a in self._answers if _plain(a) not in ("yes", "no", "")]
        return next((answer for answer in spans if f" {_plain(answer)} " in text), "")


class SnippetOracle(GoldPagesOracle):
    """Searches for every gold page by its title and reads what the results show of them; opens nothing."""

    def _solve(self, question: str) -> Steps:
        read: list[str] = []
        for title in self._titles:
            hits = yield search(title, f"I look for the page on {title}.")
            if hit_number(hits, title):
                self.found.append(title)
                read.append(hits)
            else:
                self.missing.append(title)
        return self._concluded(read)


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.sub(r"[^\w]+", " ", folded).split())
