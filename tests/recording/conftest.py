from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parents[1] / "metrics"))  # `made`: recordings with known numbers

settings.register_profile("untimed", deadline=None)  # tests assert what is so, not how fast; machines pause
settings.load_profile("untimed")
