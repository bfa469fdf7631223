"""`python -m prm_search` is `prm-search`."""

from __future__ import annotations

import sys

from prm_search.cli import main

sys.exit(main())
