"""The processor's cores, for what can be split without changing a bit of it."""

import os
from concurrent.futures import ThreadPoolExecutor

CORES = os.cpu_count() or 1
workers = ThreadPoolExecutor(CORES, thread_name_prefix="sim")
"""For work that waits for nobody: what runs here must not hand more work to it and wait."""
