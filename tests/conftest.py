"""What every test runs under."""

import os

from labonn.cli.entry import WAIT_WITHOUT_SPINNING

for name, value in WAIT_WITHOUT_SPINNING.items():  # before torch is imported by the first test
    os.environ.setdefault(name, value)
