"""The README's first Python block: the example that must work as it is printed."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def quick_start() -> str:
    """Source of the first ```python block of README.md. Raises ValueError when there is none."""
    block = re.search(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
    if block is None:
        raise ValueError("README.md holds no ```python block; the quick start belongs there")
    return block.group(1)
