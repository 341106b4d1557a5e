"""Where nothing isolates: a plain child process for each worker, for the own user of a notebook without fences."""

from __future__ import annotations

import subprocess

from earthloom.sandbox.environment import ENVIRONMENT, OPTIONS
from earthloom.sandbox.paths import Paths, paths_for
from earthloom.sandbox.process import Child
from earthloom.sandbox.settings import Level, SandboxSettings
from earthloom.sandbox.wire import half_bytes, open_ends
from earthloom.sandbox.worker import Worker


class PlainBox:
    """Starts workers as children; has the members of `box.Box`.

    Parameters
    ----------
    settings
        Libraries and limits.
    openeo
        With xarray, for functions of openEO's own signatures.
    """

    level: Level = "none"

    def __init__(self, settings: SandboxSettings, *, openeo: bool = False) -> None:
        self._settings, self._openeo = settings, openeo
        self._libraries = (*settings.libraries, "xarray") if openeo else settings.libraries
        self.paths: Paths = paths_for(self._libraries)

    def worker(self) -> Worker:
        """A new worker.

        Raises
        ------
        OSError
            If it does not start.
        """
        half = half_bytes(self._settings.arena_bytes)
        link, ends = open_ends(half)
        code = (
            f"import sys; sys.path[:] = {list(self.paths.search)!r}\n"
            "from earthloom.sandbox.inside.worker import begin_plain\n"
            f"begin_plain({ends.descriptors()}, {half}, {self.paths.packages}, {self._libraries}, {self._openeo})"
        )
        try:
            process = subprocess.Popen(
                [self.paths.python, *OPTIONS, "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=ENVIRONMENT,
                pass_fds=ends.descriptors(),
                start_new_session=True,  # an interrupt in the terminal is for the server
            )
        except OSError:
            link.close()
            raise
        finally:
            ends.close()
        worker = Worker(link, Child(process))
        worker.await_ready()
        return worker

    def preload(self) -> None:
        """Children share nothing that could be loaded in advance."""

    def complete(self) -> bool:
        """There is nothing to load in advance."""
        return True

    def alive(self) -> bool:
        """It is no process."""
        return True

    def close(self) -> None:
        """Workers are ended one by one."""

    def forget(self) -> None:
        """It holds nothing."""
