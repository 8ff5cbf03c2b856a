"""Seal: a second question that can only be read once the first one's result is known.

The message is combined, byte by byte, with a stream of random bytes whose seed is the first result. The policy opens
it in the python tool and is left with a live generator `r` that stands after the last byte; some second questions go
on drawing from it.

Why: whatever a question says openly, one program can do in one call. A sealed question has to be opened, *read* and
answered by new code, so that no single call can be enough unless its author guessed the second question; and the
new code stands on the variables of the first call. Told plainly: an interpreter without memory is no absolute bar to
a policy, which may send the first call's code again in front of the second's. It then pays for it in tokens; code
that trusts its variables fails (a test runs the oracle's cells that way).

Left out: secrecy. The stream is Python's Mersenne Twister, not a cipher; a policy that breaks it has earned its point.
"""

from random import Random

# Shown to the policy after the first question; {sealed} is the message in hexadecimal digits.
NOTICES = (
    "This first result is only a key. Let r = random.Random(result) and combine each byte of the hex string below, in"
    " order, with r.getrandbits(8) by xor: you get a second question about the same data. Answer that one.\n{sealed}",
    "The answer wanted is that of a second question, which is sealed. To open it, start r = random.Random(first result)"
    " and xor every byte of this hex string with the next r.getrandbits(8).\n{sealed}",
    "With the first result as seed (r = random.Random(result)), xor the bytes of the hex string, one after another,"
    " with r.getrandbits(8). Read the question that appears and answer it, not the first one.\n{sealed}",
    "Then use the result as seed: r = random.Random(result). The bytes of {sealed} (hex), xor r.getrandbits(8) in"
    " turn, spell the question whose answer is asked for.",
    "Not the result itself is asked for, but the answer to a hidden question: take r = random.Random(result) and decode"
    " the hex bytes below by xor with one r.getrandbits(8) each.\n{sealed}",
)

# Ends some second questions, so that the generator itself must have stayed alive.
STREAM_ENDINGS = (
    " To that add r.getrandbits(20), the next draw from the r that opened this.",
    " Finally add the next r.getrandbits(20) of the generator that you opened this with.",
    " Then add r.getrandbits(20), drawn from the same r after the last byte of this message.",
)
STREAM_CODE = "result += r.getrandbits(20)\n"


def seal(message: str, key: int) -> tuple[str, int]:
    """The message in hexadecimal digits, and the 20-bit number that the generator yields next."""
    generator = Random(key)
    sealed = bytes(byte ^ generator.getrandbits(8) for byte in message.encode("ascii")).hex()
    return sealed, generator.getrandbits(20)


def opening_code(sealed: str) -> str:
    """Python that opens the message with the live variable `result` as its key and prints it."""
    return (
        "import random\n"
        "r = random.Random(result)\n"
        f'print(bytes(b ^ r.getrandbits(8) for b in bytes.fromhex("{sealed}")).decode("latin-1"))\n'
    )
