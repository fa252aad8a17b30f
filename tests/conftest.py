"""What every test runs under."""

import os
import signal

from labonn.cli.entry import WAIT_WITHOUT_SPINNING

for name, value in WAIT_WITHOUT_SPINNING.items():  # before torch is imported by the first test
    os.environ.setdefault(name, value)

# Who starts the tests in the background has Ctrl-C ignored, and so would have the processes that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):  # which nohup lets its programs ignore
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
