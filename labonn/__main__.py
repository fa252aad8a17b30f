"""``python -m labonn``, where the console script is not on the path."""

import sys

from labonn.cli import main

sys.exit(main())
