"""What code inside finds set: one thread, equal hashes, nothing of the server's; and what is loaded in advance."""

from __future__ import annotations

from collections.abc import Sequence

# All variables that a worker has.
ENVIRONMENT = {
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"),
    "NUMBA_THREADING_LAYER": "omp",  # the one that is content with the thread that it has
    "MALLOC_ARENA_MAX": "1",
    # Memory that a function frees stays with its worker, up to 16 MiB: fresh pages cost more than many a function.
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 20),
    "PYTHONHASHSEED": "0",
    "LC_ALL": "C.UTF-8",
    "EAGER_IMPORT": "1",  # scikit-image loads its parts when it is imported
}
# The interpreter's options: no user's folder, no site, no byte code written. Not -I, which would ignore the hash seed.
OPTIONS = ("-s", "-P", "-S", "-B")

# What is loaded in advance, with its distribution, in this order: what many functions use comes first. A star stands
# for all modules of a package that loads them at first use.
_PRELOAD = (
    ("scipy", "scipy.ndimage"),
    *(
        ("numba", name)
        for name in ("numba", "numba.np.ufunc.omppool", "numba.parfors.parfor", "multiprocessing.synchronize")
    ),
    *(("scipy", f"scipy.{part}") for part in ("linalg", "fft", "interpolate", "optimize", "stats", "signal")),
    *(
        ("scikit-image", f"skimage.{part}")
        for part in ("filters", "morphology", "measure", "exposure", "segmentation", "feature", "transform", "util")
    ),
    *(("xarray", name) for name in ("xarray", "xarray.computation.*", "xarray.core.*", "xarray.structure.*")),
)


def preload_steps(libraries: Sequence[str]) -> list[str]:
    """Modules that a zygote with these distributions loads in advance, in order; numpy is there from the start."""
    known = {name for name, _ in _PRELOAD}
    others = [name for name in libraries if name not in known and name != "numpy"]
    return [module for name, module in _PRELOAD if name in libraries] + others
