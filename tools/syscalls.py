"""Write the numbers of the system calls that the sandbox's policy names, as libseccomp knows them.

Run by hand when a name is added: `python tools/syscalls.py` rewrites `src/earthloom/sandbox/inside/numbers.py`; a test
compares the two. Needs libseccomp 2.5 (Debian: libseccomp2), which nothing needs at run time.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes.util import find_library
from pathlib import Path

from earthloom.sandbox.inside import syscalls

TARGET = Path(__file__).parents[1] / "src" / "earthloom" / "sandbox" / "inside" / "numbers.py"
# The machine as `os.uname` names it -> its number in the kernel's audit interface (linux/audit.h).
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def numbers(architecture: str) -> dict[str, int]:
    """Number of each named call on an architecture; names that it does not have are left out."""
    library = ctypes.CDLL(find_library("seccomp") or "libseccomp.so.2")
    resolve = library.seccomp_syscall_resolve_name_arch
    resolve.argtypes, resolve.restype = [ctypes.c_uint32, ctypes.c_char_p], ctypes.c_int
    found = {name: resolve(ARCHITECTURES[architecture], name.encode()) for name in syscalls.NAMES}
    return {name: number for name, number in found.items() if number >= 0}


def text() -> str:
    """The module with the tables."""
    lines = [
        '"""Numbers of system calls, written by tools/syscalls.py from libseccomp; not edited by hand."""',
        "",
        "from __future__ import annotations",
        "",
        "# Machine as `os.uname` names it -> name -> number.",
        "NUMBERS: dict[str, dict[str, int]] = {",
    ]
    for architecture in ARCHITECTURES:
        lines.append(f'    "{architecture}": {{')
        lines += [f'        "{name}": {number},' for name, number in numbers(architecture).items()]
        lines.append("    },")
    return "\n".join([*lines, "}", ""])


if __name__ == "__main__":
    TARGET.write_text(text())
    sys.exit(0)
