"""For every test: no network but loopback; and the one way to ask for a package index.

The block (tests/offline.py) is on whatever the command line says, so each run of the suite shows that it needs no
network. Only tests that take the fixture `package_index` reach one, through pip in a process of its own.
AEPO_BLOCK_NETWORK=1 (`make test-offline`) says that there is none: those tests are then skipped.
"""

import os
import subprocess
import sys

import hypothesis
import pytest

from tests.offline import forbid_network

# A change must fail or pass for what is in it: the same examples each time. To look for new ones:
# make unit PYTEST_ARGS="--hypothesis-profile=explore"
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("explore", max_examples=500, deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    forbid_network()
    if not config.getoption("--hypothesis-profile", default=None):
        hypothesis.settings.load_profile("same")


@pytest.fixture(scope="session")
def package_index() -> None:
    """Skips where no package index answers; where CI is set, that is a failure instead: there it must run."""
    if os.environ.get("AEPO_BLOCK_NETWORK") == "1":
        pytest.skip("AEPO_BLOCK_NETWORK=1: this test installs from a package index")
    ask = ["install", "--dry-run", "--ignore-installed", "--no-deps", "--retries", "1", "--timeout", "15", "--quiet"]
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "pip", *ask, "setuptools>=77"],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        problem = answer.stderr.strip().splitlines()[-1:] if answer.returncode else []
    except subprocess.TimeoutExpired:
        problem = ["no answer in 90 seconds"]
    if problem:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no package index can be reached: {problem[0]}")
