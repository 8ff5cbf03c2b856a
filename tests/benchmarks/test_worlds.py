"""The command that prints the worlds' figures prints them."""

import re

from benchmarks import worlds


def test_figures_of_a_small_world_are_printed(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("AEPO_CACHE", str(tmp_path))
    worlds.report("web", "train", "tiny", 3, "unboxed_unsafe")
    printed = capsys.readouterr().out
    for family in ("1-hop", "2-hop", "3-hop", "arithmetic"):
        assert re.search(rf"^web/{family} +3 +100\.0% ", printed, re.MULTILINE)


def test_writing_many_pages_is_measured(capsys):
    worlds.stream(100, "easy")
    assert re.search(r"\d+ pages, [\d,]+ characters in \d", capsys.readouterr().out)


def test_tasks_are_sorted_by_family():
    tasks = worlds.WORLDS["code"][0]("dev", "tiny", True).tasks
    families = worlds.by_family(tasks, 2)
    assert len(families) >= 4
    assert all(len(found) == 2 for found in families.values())
