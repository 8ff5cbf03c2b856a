"""Tests of training compute with one thread, whatever a command that ran before in this process was told."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
