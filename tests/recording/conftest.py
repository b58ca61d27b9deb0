from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # tests assert what is so, not how fast; machines pause
settings.load_profile("untimed")
