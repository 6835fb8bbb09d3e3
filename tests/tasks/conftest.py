"""Lets the tests here, and the worker processes they start, import the toy stages."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
