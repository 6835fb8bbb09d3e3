"""reasoning-gym is there whether or not a C compiler was."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import importlib.util
whole = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "pycosat" else whole(name, *more)
from latent_core import puzzles
puzzles.find_spec = importlib.util.find_spec
puzzles.reasoning_gym()
puzzles.find_spec = whole  # which fails on a module that stands for another
package = puzzles.reasoning_gym()
print(package.create_dataset("countdown", seed=1, size=1)[0]["question"][:10])
try:
    package.create_dataset("zebra_puzzles", seed=1, size=1)[0]
except ImportError as error:
    print(error)
"""


def test_data_sets_are_there_without_pycosat_and_the_one_that_needs_it_says_so() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=True)
    question, error = ran.stdout.splitlines()
    assert question == "Calculate " or question
    assert error == "pycosat is not installed; run `pip install pycosat` (needs a C compiler)"
