"""Open files: headers read once for each state of a file, and datasets lent to one thread at a time."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from threading import Lock

from rasterio.io import DatasetReader

from earthloom.base.errors import ReadError
from earthloom.base.lru import Lru
from earthloom.raster.header import (
    FileKey,
    Header,
    Level,
    file_key,
    header,
    header_of,
    level_of,
    open_level,
    read_overview,
)

__all__ = ["Files", "Header", "header", "read_overview"]


class Files:
    """Headers and open datasets of many files.

    GDAL's datasets are not safe across threads, so that each is lent to one thread and comes back. No more than
    `max_idle` wait to be lent again; beside them there are as many as threads are reading.
    """

    def __init__(self, max_idle: int = 128, max_headers: int = 8192) -> None:
        self._headers: Lru[FileKey, Header] = Lru(max_headers)
        self._levels: Lru[tuple[FileKey, int], Level] = Lru(max_headers)
        self._max_idle = max_idle
        self._lock = Lock()
        self._idle: OrderedDict[tuple[FileKey, int], list[DatasetReader]] = OrderedDict()
        self._idle_count = 0
        self._pid = os.getpid()

    def header(self, path: str) -> Header:
        """The facts of a file as it is now; a replaced file is noticed by its size or time of change."""
        key = file_key(path)
        found = self._headers.get(key)
        if found is None:
            with self.dataset(key, 0) as dataset:
                found = header_of(dataset, key)
            self._headers.put(key, found)
        return found

    def level(self, head: Header, level: int) -> Level:
        """True size and blocks of a level; errors as `dataset`."""
        if level == 0:
            return head.full
        found = self._levels.get((head.key, level))
        if found is None:
            with self.dataset(head.key, level) as dataset:
                found = level_of(dataset)
            self._levels.put((head.key, level), found)
        return found

    @contextmanager
    def dataset(self, file: FileKey, level: int) -> Iterator[DatasetReader]:
        """Lend the dataset of a level to the calling thread.

        Raises
        ------
        ReadError
            If the file cannot be opened, or is not in the state of this key any more.
        """
        key = file, level
        dataset = self._take(key)
        if dataset is None:
            path = file[0]
            dataset = open_level(path, level)
            if file_key(path) != file:
                dataset.close()
                raise ReadError(f"{PurePath(path).name} was replaced while it was read.", hint="Ask again.", file=path)
        try:
            yield dataset
        except BaseException:
            dataset.close()  # after an error GDAL's state of the file is not to be trusted
            raise
        self._give_back(key, dataset)

    def close(self) -> None:
        """Close all that is not lent."""
        with self._lock:
            idle, self._idle, self._idle_count = self._idle, OrderedDict(), 0
        for datasets in idle.values():
            for dataset in datasets:
                dataset.close()

    def _take(self, key: tuple[FileKey, int]) -> DatasetReader | None:
        with self._lock:
            if self._pid != os.getpid():
                # After a fork both processes would move one file position; the child opens its own.
                self._idle, self._idle_count, self._pid = OrderedDict(), 0, os.getpid()
            datasets = self._idle.get(key)
            if not datasets:
                return None
            self._idle_count -= 1
            dataset = datasets.pop()
            if not datasets:
                del self._idle[key]
            return dataset

    def _give_back(self, key: tuple[FileKey, int], dataset: DatasetReader) -> None:
        surplus: list[DatasetReader] = []
        with self._lock:
            self._idle.setdefault(key, []).append(dataset)
            self._idle.move_to_end(key)
            self._idle_count += 1
            while self._idle_count > self._max_idle:
                oldest, datasets = next(iter(self._idle.items()))
                surplus.append(datasets.pop(0))
                self._idle_count -= 1
                if not datasets:
                    del self._idle[oldest]
        for old in surplus:
            old.close()
