"""The self-test of a started box: tries to break out, and to fork, before the box may serve anybody.

It runs in a branch like any other; a box that fails it is closed, and no interpreter is given out (fail closed).
"""

import socket

from .box import Box, ForkFailed
from .branch import Branch
from .cell import run_cell

# Every line must print "refused": it is the kernel's answer that counts, not our intention.
_ATTEMPTS = {
    "network": "import socket; socket.socket()",
    "processes": "import os; os.fork()",
    "programs": "import os; os.execv('/usr/bin/true', ['true'])",
    "host files": "open('/etc/passwd')",
    "system files": "open('/usr/aepo-self-test', 'w')",
    "root of the file system": "open('/aepo-self-test', 'w')",
    "limits": "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))",
    "signals": "import os; os.kill(1, 9)",
    "memory of the template": "open('/proc/1/mem', 'rb')",
}


def find_weakness(box: Box) -> str:
    """What does not hold in this box, in words; empty when all is well."""
    here, there = socket.socketpair()
    with here, there:
        branches: list[Branch] = []
        try:
            return _examine(box, here, branches)
        except ForkFailed as failure:
            return f"forking an interpreter failed: {failure}"
        except OSError as failure:
            return f"the supervisor cannot look after a branch: {failure}"
        finally:
            for branch in branches:
                box.kill(branch, "self-test")


def _examine(box: Box, owner: socket.socket, branches: list[Branch]) -> str:
    branches.append(box.start(1))
    for name, attempt in _ATTEMPTS.items():
        code = f"try:\n    {attempt}\nexcept (OSError, ValueError):\n    print('refused')\nelse:\n    print('allowed')"
        answer = run_cell(branches[0], code, 5.0, box.plan.limits, owner)[0]
        if answer["output"] != "refused\n":
            return f"a cell was not kept from {name}: {answer['status']} {answer['output']!r} {answer['error'][-200:]}"
    keep = "kept = [1]\nopen('kept.txt', 'w').write('1')"
    run_cell(branches[0], keep, 5.0, box.plan.limits, owner)
    branches.append(box.fork(branches[0], split=False, seed=0))
    run_cell(branches[0], "kept.append(2)\nopen('kept.txt', 'w').write('12')", 5.0, box.plan.limits, owner)
    answer = run_cell(branches[1], "print(kept, open('kept.txt').read())", 5.0, box.plan.limits, owner)[0]
    if answer["output"] != "[1] 1\n":
        return f"a forked interpreter does not continue on its own: {answer['output']!r} {answer['error'][-200:]}"
    return ""
