"""docs/results: every table there is what its records give, and records name no place of the machine they are of."""

import json
from pathlib import Path

import pytest

pytest.importorskip("scipy.stats", reason="needs the extra 'compare'")

from baselines.findings import findings
from baselines.records import Results, cells_of
from baselines.table import table
from tests.baselines.made import comparison
from tests.readme import ROOT

KEPT = sorted((ROOT / "docs" / "results").glob("*/*records.jsonl"))


def stale(file: Path) -> list[str]:
    """What is wrong with a file of records and the table beside it."""
    records = Results(file).found
    beside = file.with_name(file.name.replace("records.jsonl", "table.md"))
    wrong = []
    if beside.is_file() and beside.read_text("utf-8") != table(findings(cells_of(records, Path("out")), records)):
        wrong.append(f"{beside} is not what the records give: python -m baselines.compare --report --records {file}")
    wrong += [
        f"{one['cell']} names {word}"
        for one in records.values()
        for word in [*one["line"], *map(str, one["versions"].values())]
        if word.startswith("/")
    ]
    return wrong


@pytest.mark.parametrize("file", KEPT or [None], ids=str)
def test_tables_in_docs_are_what_their_records_give(file: Path | None) -> None:
    if file is None:
        pytest.skip("no records are kept in docs/results")
    assert stale(file) == []


def test_a_table_of_other_records_and_a_place_of_a_machine_are_found(tmp_path: Path) -> None:
    cells, records = comparison({"aepo": 0.5, "grpo": 0.6}, seeds=2)
    for one in records.values():
        one["algorithm"] = one["label"]
    file = tmp_path / "records.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in records.values()), "utf-8")
    (tmp_path / "table.md").write_text(table(findings(cells, records)), "utf-8")
    assert stale(file) == []
    records[cells[0].name]["curve"][-1]["greedy"] = records[cells[0].name]["curve"][0]["greedy"]
    records[cells[1].name]["line"] = ["--model", "/home/somebody/model"]
    file.write_text("".join(json.dumps(one) + "\n" for one in records.values()), "utf-8")
    assert len(stale(file)) == 2
