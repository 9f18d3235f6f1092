"""Channels, series and a source that plays a function of time: what tests of the core share."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
