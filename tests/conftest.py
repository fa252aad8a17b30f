"""What every test runs under."""

import os
import signal

from labonn.cli.processor import prepare_process

prepare_process()  # before torch is imported by the first test

if "PYTEST_XDIST_WORKER" in os.environ:  # others compute beside this process
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")

# Who starts the tests in the background has Ctrl-C ignored, and so would have the processes that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):  # which nohup lets its programs ignore
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
