"""Whole pieces of work side by side, in place of threads that share each operation."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import torch


@contextmanager
def each_on_one_thread(name: str) -> Iterator[ThreadPoolExecutor]:
    """As many threads as torch would compute with, in each of which it has one; what has not begun goes on an error."""
    single = partial(torch.set_num_threads, 1)
    pool = ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix=name, initializer=single)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
