"""A user's folder as a world: what is read, what every mistake says, and that the folder is left alone."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aepo_env.agent import Oracle, play
from aepo_env.browser.reader import plain_text
from aepo_env.browser.source import PageNotFound
from aepo_env.env import ToolEnv
from aepo_env.rewards.reward import Score
from aepo_env.tasks import Task
from aepo_env.tools.browse import BrowseTool
from aepo_env.tools.search import SearchTool
from aepo_env.worlds.folder import folder_world, read_questions, select_split, split_of
from aepo_env.worlds.folder.markdown import markdown_to_html
from aepo_env.worlds.folder.oracle import GoldPagesOracle
from aepo_env.worlds.folder.pages import FolderError, fingerprint, read_pages, text_page

PAGES = [
    {"title": "Ada", "text": "Ada knew Bob & Eve <well>.\n\nShe was born in Rome.", "links": [["Bob", "Bob"]]},
    {"title": "Bob", "url": "https://site.org/b", "text": "Bob lived in Oslo.", "links": [["Oslo", "Nowhere"]]},
    {"title": "Eve", "html": "<h1>Eve</h1><p>Eve wrote <b>poems</b>.</p>"},
]
QUESTIONS = [
    {"id": "q1", "question": "Where did Ada's friend live?", "answers": ["Oslo"], "metadata": {
        "source": "hand", "supporting_pages": [{"title": "Ada"}, {"title": "Bob"}]}},
    {"question": "What did Eve write?", "answer": "poems"},
]  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("AEPO_CACHE", str(tmp_path_factory.mktemp("cache")))


def lines(records):
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def folder(tmp_path):
    directory = tmp_path / "mine"
    directory.mkdir()
    (directory / "pages.jsonl").write_text(lines(PAGES))
    (directory / "questions.jsonl").write_text(lines(QUESTIONS))
    return directory


def opened(world, title):
    (hit,) = [hit for hit in world.corpus.search(title, 5, 5.0) if hit.title == title]
    return world.corpus.fetch(hit.address, 5.0)


def test_listed_pages_can_be_searched_and_opened(folder):
    world = folder_world(folder)
    assert len(world.corpus) == 3
    assert "Rome" in opened(world, "Ada").html
    assert opened(world, "Bob").address == "https://site.org/b"
    assert opened(world, "Eve").html == PAGES[2]["html"]


def test_links_become_real_links_and_text_is_escaped(folder):
    source = opened(folder_world(folder), "Ada").html
    assert '<a href="https://site.org/b">Bob</a> &amp; Eve &lt;well&gt;' in source


def test_a_link_to_no_page_of_the_folder_stays_text(folder):
    assert "<a" not in opened(folder_world(folder), "Bob").html


def test_links_take_the_first_free_mention():
    source = text_page(
        "https://a/0", "T", "New York and York.", [("New York", "https://a/1"), ("York", "https://a/2")]
    ).html
    assert '<a href="https://a/1">New York</a> and <a href="https://a/2">York</a>.' in source


def test_a_page_of_many_links_is_written_in_time():
    started = time.monotonic()
    source = text_page("https://a/0", "T", "a b " * 20_000, [("a", "https://a/1"), ("b a", "https://a/2")] * 5_000).html
    assert time.monotonic() - started < 5
    assert source.count("<a ") == 10_000


@pytest.mark.parametrize("source", ["<title>" * 14_000, "<h1 " * 25_000, "<title>" + "<" * 90_000 + "</title>"])
def test_titles_of_hostile_pages_are_found_in_time(source, tmp_path):
    (tmp_path / "a.html").write_text(source)
    started = time.monotonic()
    pages = list(read_pages(tmp_path))
    assert time.monotonic() - started < 2
    assert pages[0].title


def test_questions_are_read(folder):
    first, second = folder_world(folder).tasks
    assert (first.id, first.answers, first.family) == ("q1", ("Oslo",), "folder/hand")
    assert (second.answers, second.family) == (("poems",), "folder")
    assert second.id
    assert second.id == read_questions(folder / "questions.jsonl")[1].id


def test_questions_may_be_given(folder, tmp_path):
    (folder / "questions.jsonl").rename(tmp_path / "mine.jsonl")
    assert [task.answers for task in folder_world(folder, questions=tmp_path / "mine.jsonl").tasks] == [
        ("Oslo",),
        ("poems",),
    ]
    tasks = [Task("x", "Who?", ("Ada",))]
    assert list(folder_world(folder, questions=tasks).tasks) == tasks
    assert list(folder_world(folder, questions=[]).tasks) == []


def test_a_tree_of_files(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.html").write_text("<html><title>Page &amp; A</title><p>See <a href='deep/b.md'>B</a></p></html>")
    (tmp_path / "deep" / "b.md").write_text("# Page B #\n\nBack to [A](../a.html).\n\n- one\n- two\n")
    (tmp_path / "deep" / "some_notes ü.txt").write_text("First.\n\nSecond <b>.")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / ".hidden.txt").write_text("secret")
    pages = {page.title: page for page in read_pages(tmp_path)}
    assert sorted(pages) == ["Page & A", "Page B", "some notes ü"]
    assert '<a href="../a.html">A</a>' in pages["Page B"].html
    assert "<ul><li>one</li><li>two</li></ul>" in pages["Page B"].html
    assert "<p>Second &lt;b&gt;.</p>" in pages["some notes ü"].html
    assert pages["Page B"].address == "https://pages.example/deep/b.md"
    corpus = folder_world(tmp_path, questions=[]).corpus
    assert corpus.fetch("https://pages.example/deep/some_notes ü.txt", 5.0).title == "some notes ü"


def test_markdown_escapes_what_is_not_markup():
    source = markdown_to_html('a <script> *b* **c** `<d>` [e](x.md "t") [f](javascript:1)\n\n```\n<g>\n', "T & U")
    assert "<title>T &amp; U</title>" in source
    assert "&lt;script&gt; <em>b</em> <strong>c</strong> <code>&lt;d&gt;</code>" in source
    assert '<a href="x.md">e</a>' in source
    assert "<pre>&lt;g&gt;</pre>" in source


def test_markdown_takes_hostile_input_in_time():
    started = time.monotonic()
    for hostile in ("[" * 50_000, "# " + " " * 50_000 + "x", "*" * 50_000, "[a](" * 20_000, "`" * 50_001):
        markdown_to_html(hostile, "T")
    assert time.monotonic() - started < 5


MISTAKES = {
    "not JSON": ('{"title": ', "line 1", "expected a JSON object"),
    "no object": ('["Ada"]', "line 1", "found a list"),
    "no title": ('{"text": "x"}', "line 1", '"title", found nothing'),
    "title of another type": ('{"title": 5, "text": "x"}', "line 1", '"title", found a number'),
    "empty title": ('{"title": " ", "text": "x"}', "line 1", '"title" is empty'),
    "no text": ('{"title": "A"}', "line 1", '"text" or "html", found neither'),
    "text of another type": ('{"title": "A", "text": ["x"]}', "line 1", '"text", found a list'),
    "url not in full": ('{"title": "A", "text": "x", "url": "/a"}', "line 1", "expected a url"),
    "broken url": ('{"title": "A", "text": "x", "url": "http://[a/"}', "line 1", "expected a url"),
    "links of another type": ('{"title": "A", "text": "x", "links": {"a": 1}}', "line 1", '"links", found an object'),
    "a link that is no pair": ('{"title": "A", "text": "x", "links": [["a"]]}', "line 1", 'each of "links"'),
    "url twice": ('{"title":"A","text":"x","url":"https://s/a"}\n\n{"title":"B","text":"y","url":"HTTP://S/a#t"}',
                  "line 3", "already that of"),
    "title twice without url": ('{"title":"A","text":"x"}\n{"title":"A","text":"y"}', "line 2", "already that of"),
    "deep nesting": ("[" * 100_000, "line 1", "expected a"),
    "empty": ("\n", "pages.jsonl", "found an empty file"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_every_mistake_in_pages_names_its_place(folder, name):
    content, place, complaint = MISTAKES[name]
    (folder / "pages.jsonl").write_text(content)
    with pytest.raises(FolderError) as caught:
        folder_world(folder)
    message = str(caught.value)
    assert "pages.jsonl" in message
    assert place in message
    assert complaint in message
    assert "\n" not in message


QUESTION_MISTAKES = {
    "no question": ('{"answers": ["x"]}', '"question", found nothing'),
    "no answer": ('{"question": "q"}', '"answer", found nothing'),
    "answers of another type": ('{"question": "q", "answers": 7}', "expected texts"),
    "no answers in the list": ('{"question": "q", "answers": []}', "expected texts"),
    "an answer that is no text": ('{"question": "q", "answers": ["a", 1]}', "expected texts"),
    "metadata of another type": ('{"question": "q", "answer": "a", "metadata": [1]}', "expected an object"),
    "id twice": ('{"id": "i", "question": "q", "answer": "a"}\n{"id": "i", "question": "p", "answer": "a"}', "already"),
    "question twice": ('{"question": "q", "answer": "a"}\n{"question": "q", "answer": "a"}', "already"),
    "empty": ("", "found an empty file"),
}


@pytest.mark.parametrize("name", QUESTION_MISTAKES)
def test_every_mistake_in_questions_names_its_place(folder, name):
    content, complaint = QUESTION_MISTAKES[name]
    (folder / "questions.jsonl").write_text(content)
    with pytest.raises(FolderError, match=r"questions\.jsonl") as caught:
        folder_world(folder)
    assert complaint in str(caught.value)


def test_missing_things_say_what_to_do(tmp_path, folder):
    with pytest.raises(FolderError, match="expected a folder of pages, found nothing"):
        folder_world(tmp_path / "absent")
    with pytest.raises(FolderError, match="expected a folder of pages, found a file"):
        folder_world(folder / "pages.jsonl")
    (tmp_path / "void").mkdir()
    with pytest.raises(FolderError, match="found none; put pages in"):
        folder_world(tmp_path / "void")
    (folder / "questions.jsonl").unlink()
    with pytest.raises(FolderError, match="or pass questions="):
        folder_world(folder)


def test_bytes_that_are_not_utf8(folder, tmp_path):
    (folder / "pages.jsonl").write_bytes(b'{"title": "A", "text": "x"}\n{"title": "caf\xe9", "text": "x"}\n')
    with pytest.raises(FolderError, match=r"line 2: not UTF-8 at byte 15; save the file as UTF-8"):
        folder_world(folder)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a.txt").write_bytes(b"caf\xe9")
    with pytest.raises(FolderError, match=r"a\.txt: not UTF-8"):
        list(read_pages(tree))


def test_a_byte_order_mark_and_a_lone_surrogate_do_no_harm(folder):
    (folder / "pages.jsonl").write_bytes(b'\xef\xbb\xbf{"title": "A", "text": "x \\ud800 y"}\n')
    assert "x ? y" in opened(folder_world(folder), "A").html


def test_huge_files_are_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("aepo_env.worlds.folder.pages.LARGEST_PAGE", 100)
    with pytest.raises(FolderError, match=r"line 1: longer than 100 bytes"):
        folder_world(folder)
    (tmp_path / "long.txt").write_text("x" * 101)
    with pytest.raises(FolderError, match=r"long\.txt: 101 bytes, but a page may have 100"):
        list(read_pages(tmp_path))


def test_links_out_of_the_folder_and_loops_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.txt").write_text("fine")
    (inside / "stolen.txt").symlink_to(outside / "secret.txt")
    (inside / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    (inside / "folder").symlink_to(outside)
    (inside / "loop").symlink_to(inside)
    (inside / "round.txt").symlink_to(inside / "round.txt")
    (inside / "same.txt").symlink_to(inside / "a.txt")
    assert [page.title for page in read_pages(inside)] == ["a", "same"]


def test_a_listing_that_is_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    (folder / "pages.jsonl").rename(tmp_path / "elsewhere.jsonl")
    (folder / "pages.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    with pytest.raises(FolderError, match="found a link out of the folder; copy the file"):
        folder_world(folder)


def test_an_edit_gives_a_new_index_even_at_equal_size_and_time(folder):
    path = folder / "pages.jsonl"
    stat = path.stat()
    assert "Rome" in opened(folder_world(folder), "Ada").html
    path.write_text(path.read_text().replace("Rome", "Bonn"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert "Bonn" in opened(folder_world(folder), "Ada").html


def test_a_renamed_file_gives_a_new_fingerprint(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    before = fingerprint(tmp_path)
    (tmp_path / "a.txt").rename(tmp_path / "b.txt")
    assert fingerprint(tmp_path) != before


def test_the_index_is_built_once(folder, monkeypatch):
    folder_world(folder)
    monkeypatch.setattr("aepo_env.worlds.folder.read_pages", lambda directory: pytest.fail("built again"))
    assert len(folder_world(folder).corpus) == 3


def test_a_mistake_leaves_no_index_behind(folder):
    good = (folder / "pages.jsonl").read_text()
    (folder / "pages.jsonl").write_text(good + "oops\n")
    for _ in range(2):
        with pytest.raises(FolderError, match="line 4"):
            folder_world(folder)


def test_the_folder_is_never_written_to(folder):
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [folder, *folder.iterdir()]}
    folder_world(folder)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [folder, *folder.iterdir()]} == before


def test_splits_are_disjoint_whole_and_grow_stably():
    tasks = [Task(f"id{number}", "q", ("a",)) for number in range(2000)]
    parts = [select_split(tasks, name) for name in ("train", "dev", "test")]
    assert sorted(task.id for part in parts for task in part) == sorted(task.id for task in tasks)
    assert [round(len(part) / 2000, 1) for part in parts] == [0.8, 0.1, 0.1]
    assert select_split(tasks[:500], "dev") == [task for task in parts[1] if task in tasks[:500]]
    with pytest.raises(ValueError, match="expected one of all, train, dev, test, got 'valid'"):
        select_split(tasks, "valid")


def test_the_split_of_an_id_is_the_same_in_another_process():
    code = "from aepo_env.worlds.folder import split_of; print(*map(split_of, map(str, range(50))))"
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert run.stdout.split() == [split_of(str(number)) for number in range(50)]


def test_a_dead_link_is_an_ordinary_answer(folder):
    with pytest.raises(PageNotFound):
        folder_world(folder).corpus.fetch("https://pages.example/Nobody", 5.0)


def test_the_text_given_to_the_index_is_the_readers(folder, tmp_path):
    odd = [
        {"title": "# 1 & <2>", "text": "a"},
        {
            "title": " T ",
            "text": "\n\n T \n \n\t\n b\u200b  c\nd \n\n\n\n&amp; <e> \u202e f [1]",
            "links": [["c", "Ada"]],
        },
        {"title": "U", "text": "\u200b\n\nU"},
    ]
    (folder / "pages.jsonl").write_text(lines([*PAGES, *odd]))
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "x.txt").write_text("x\r\n\r\ny")
    for page in (*read_pages(folder), *read_pages(tmp_path / "tree")):
        assert page.text in ("", plain_text(page.html)), page.title


# ----------------------------------------------------------------------------------------- the oracle


def played(task, corpus):
    oracle = GoldPagesOracle(task)
    env = ToolEnv([task], [SearchTool(corpus), BrowseTool(corpus)], lambda episode: Score(0.0, {}))
    return play(env, oracle), oracle


def test_the_oracle_finds_every_gold_page_and_answers_from_them(folder):
    world = folder_world(folder)
    episode, oracle = played(world.tasks[0], world.corpus)
    assert (oracle.found, oracle.missing) == (["Ada", "Bob"], [])
    assert episode.answer == "Oslo"


def test_the_oracle_does_not_answer_what_it_has_not_read(folder):
    world = folder_world(folder)
    task = Task("t", "Where?", ("Atlantis",), metadata=world.tasks[0].metadata)
    assert played(task, world.corpus)[0].answer == "not found"


def test_the_oracle_says_which_gold_page_is_out_of_reach(folder):
    world = folder_world(folder)
    task = Task("t", "Is it?", ("yes",), metadata={"supporting_pages": [{"title": "Ada"}, {"title": "Nobody"}]})
    episode, oracle = played(task, world.corpus)
    assert (oracle.found, oracle.missing, episode.answer) == (["Ada"], ["Nobody"], "not found")


def test_the_oracle_reads_long_pages_to_the_answer(folder):
    text = "\n\n".join(f"Paragraph {number} says nothing much at all." for number in range(300)) + "\n\nIt was Quito."
    (folder / "pages.jsonl").write_text(lines([{"title": "Long", "text": text}]))
    task = Task("t", "Where?", ("Quito",), metadata={"supporting_pages": [{"title": "Long"}]})
    episode, _ = played(task, folder_world(folder, questions=[]).corpus)
    assert episode.answer == "Quito"


def test_no_oracle_without_gold_pages(folder):
    with pytest.raises(ValueError, match='no "supporting_pages" in its metadata'):
        folder_world(folder).oracle(folder_world(folder).tasks[1])


# ------------------------------------------------------------------------------- real Wikipedia text


def shared_data():
    root = os.environ.get("AEPO_SHARED") or Path(__file__).resolve().parents[3] / "shared"
    return Path(root) / "data" / "offline_web"


needs_offline_web = pytest.mark.skipif(
    not (shared_data() / "pages.jsonl").exists(),
    reason="no shared data: set AEPO_SHARED to the folder that holds data/offline_web",
)


@needs_offline_web
def test_gold_pages_of_real_questions_are_found_by_title():
    """A sample; `python -m benchmarks.real_pages --folder …` plays all of them."""
    world = folder_world(shared_data())
    assert len(world.corpus) == 20_814
    for family in ("folder/2wiki", "folder/hotpotqa"):
        tasks = [task for task in world.tasks if task.family == family][::10]
        oracles = [played(task, world.corpus)[1] for task in tasks]
        assert sum(not oracle.missing for oracle in oracles) >= 0.99 * len(oracles)
    started = time.monotonic()
    folder_world(shared_data())
    assert time.monotonic() - started < 2


def asked(folder, tool):
    world = folder_world(folder, split="all")
    made = tool(world.corpus, 1) if tool is SearchTool else tool(world.corpus)
    tools = [SearchTool(world.corpus, 1), made] if tool is BrowseTool else [made]
    return ToolEnv(world.tasks[:1], tools, lambda episode: Score(0.0, {}), world=world)


def test_where_nothing_can_be_opened_the_oracle_reads_search_results(folder):
    episode = play(env := asked(folder, SearchTool), Oracle(env))
    assert episode.answer == "Oslo"
    assert [call.tool for turn in episode.turns for call in turn.calls] == ["search", "search"]
    episode = play(env := asked(folder, BrowseTool), Oracle(env))
    assert episode.answer == "Oslo"
    assert "browse" in {call.tool for turn in episode.turns for call in turn.calls}


def test_it_does_not_answer_what_no_result_shows(folder):
    env = asked(folder, SearchTool)
    env.rules.tools[0].snippet_characters = 8
    assert play(env, Oracle(env)).answer == "not found"
