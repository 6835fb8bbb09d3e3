"""Math prose to compress."""

from __future__ import annotations

import random

_SENTENCES = (
    "First we find the total: {a} + {b} = {c}.",
    "So {name} pays ${a}.{d} for {b} apples, and $99.3 for the rest.",
    "Then, we divide both sides by {a}, which gives $x = \\frac{{{b}}}{{{a}}}$!",
    "Since $\\sqrt{{{a}^2 + {b}^2}} \\le {c}$, the claim follows.",
    "Step {d}: {name} doesn't have {a},000 marbles (she has {b}%).",
    "Hence \\[\\sum_{{k=1}}^{{{a}}} k = {c}.\\]",
    "Wait: is {b} odd?  Let me check again ... no, it isn't;",
    "We know that {a}/{b} of the {c} children can't swim.",
    "The answer is $\\boxed{{{c}}}$.",
    "L'été à Zürich, {name} mangea {a} pommes.",
    "\n\n",
    "\nStep {d}: ",
)
_NAMES = "Ann Bob Carla Dmitri Eve Hélène Yusuf".split()


def math_text(seed: int, sentences: int) -> str:
    """Prose with LaTeX, decimals, thousands, newlines and accents; deterministic."""
    rng = random.Random(seed)
    parts = []
    for _ in range(sentences):
        a, b, d = rng.randrange(2, 99), rng.randrange(2, 999), rng.randrange(1, 9)
        parts.append(rng.choice(_SENTENCES).format(a=a, b=b, c=a + b, d=d, name=rng.choice(_NAMES)))
    return " ".join(parts)
