"""Install what the tests need beyond Python, where that can be done without asking anybody.

On Debian and its kin, as root or where `sudo` asks for no password, missing packages are installed by apt; elsewhere
the command to give is printed, and the tests that need the tool are skipped (or fail, with EARTHLOOM_TEST_REQUIRE=all).
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
from ctypes.util import find_library

# Debian's package -> the programs of which one will do, or the library that it holds.
PROGRAMS = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "bubblewrap": ("bwrap",),
    "redis-server": ("redis-server",),
    "postgresql": ("initdb",),
    "nginx": ("nginx",),
    "caddy": ("caddy",),
    "openssl": ("openssl",),
}
# Debian puts servers where the search path of ordinary users does not go, and those of PostgreSQL where no path goes.
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *glob.glob("/usr/lib/postgresql/*/bin")])
# Of the program that drives the browser; what the sandbox's filters are compared with.
LIBRARIES = {"libatomic1": "atomic", "libseccomp2": "seccomp"}


def main() -> int:
    """Install what is missing; success also where that is impossible, for then the tests say what they lack."""
    missing = [p for p, names in PROGRAMS.items() if not any(shutil.which(name, path=PATH) for name in names)]
    missing += [package for package, name in LIBRARIES.items() if find_library(name) is None]
    if not missing:
        return 0
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    prefix = _administrator()
    if prefix is None or shutil.which("apt-get") is None:
        print(f"Tests that need {', '.join(missing)} will not run. To install: sudo {' '.join(install)}")
        return 0
    for command in (["apt-get", "update", "-q"], install):
        # Through env, for sudo drops variables.
        print(f"Running {' '.join(command)}", flush=True)
        done = subprocess.run([*prefix, "env", "DEBIAN_FRONTEND=noninteractive", *command], stdin=subprocess.DEVNULL)
        if done.returncode:
            print(
                f"{' '.join(command)} ended with {done.returncode}; tests that need {', '.join(missing)} will not run."
            )
            return 0
    return 0


def _administrator() -> list[str] | None:
    """What to put before a command to be root; None if that would need a password."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo", "-n"]
    return None


if __name__ == "__main__":
    sys.exit(main())
