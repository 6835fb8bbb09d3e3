"""Rubik's 2×2 cube: turn its faces until each has one colour. Scrambled by a few turns, drawn from the seed.

The corner down-back-left never moves, so that turns of the three faces U, R and F reach every state: 3,674,160 of them,
none further than 11 turns from the solved one.
"""

from __future__ import annotations

from collections.abc import Hashable

from latent_core.rl.environments.game import Game, instance_random
from latent_core.rl.environments.protocol import EnvironmentSpec

FACES = "URFDLB"
SOLVED = "WWWWRRRRGGGGYYYYOOOOBBBB"  # four stickers a face, in the order of FACES, row by row
STEP, REWARD = -0.1, 10.0
SCRAMBLES = (1, 4)  # fewest and most turns of a scramble
MAX_TURNS = 11

# Cycles of stickers of a clockwise quarter turn: each goes to the place of the next. A face is seen from outside, U and
# D with F below and above, the others with U above; 0 1 are the upper row and 2 3 the lower one.
_CYCLES = {
    "U": ("U0 U1 U3 U2", "F0 L0 B0 R0", "F1 L1 B1 R1"),
    "R": ("R0 R1 R3 R2", "F1 U1 B2 D1", "F3 U3 B0 D3"),
    "F": ("F0 F1 F3 F2", "U2 R0 D1 L3", "U3 R2 D0 L1"),
}


def _quarter(face: str) -> tuple[int, ...]:
    """Of each place, the place that its sticker came from."""
    source = list(range(len(SOLVED)))
    for cycle in _CYCLES[face]:
        places = [4 * FACES.index(sticker[0]) + int(sticker[1]) for sticker in cycle.split()]
        for place, following in zip(places, [*places[1:], places[0]], strict=True):
            source[following] = place
    return tuple(source)


def _turns() -> dict[str, tuple[int, ...]]:
    turns: dict[str, tuple[int, ...]] = {}
    for face in _CYCLES:
        quarter = _quarter(face)
        half = tuple(quarter[place] for place in quarter)
        turns |= {face: quarter, f"{face}2": half, f"{face}'": tuple(half[place] for place in quarter)}
    return turns


TURNS = _turns()
_INVERSE = {turn: turn[0] + {"": "'", "'": "", "2": "2"}[turn[1:]] for turn in TURNS}


def turned(cube: str, turn: str) -> str:
    """The 24 stickers after a turn."""
    return "".join(cube[place] for place in TURNS[turn])


def solution(cube: str) -> list[str]:
    """The fewest turns that solve the cube, by breadth-first search from both ends, a level at a time."""
    if cube == SOLVED:
        return []
    near: dict[str, list[str]] = {cube: []}  # the turns from one end
    far: dict[str, list[str]] = {SOLVED: []}  # and from the other
    near_edge, far_edge = list(near), list(far)
    is_swapped = False
    while True:
        near_edge = _next_level(near, near_edge)
        if meeting := [state for state in near_edge if state in far]:
            first, last = (far, near) if is_swapped else (near, far)
            return [*first[meeting[0]], *(_INVERSE[turn] for turn in reversed(last[meeting[0]]))]
        near, near_edge, far, far_edge, is_swapped = far, far_edge, near, near_edge, not is_swapped


def _next_level(reached: dict[str, list[str]], edge: list[str]) -> list[str]:
    """Adds the states one turn beyond the edge to `reached`; returns those that are new."""
    new = []
    for state in edge:
        for turn in TURNS:
            after = turned(state, turn)
            if after not in reached:
                reached[after] = [*reached[state], turn]
                new.append(after)
    return new


class Cube(Game):
    """Every turn costs a little, an illegal one too, so that short solutions are worth more."""

    illegal_reward = STEP

    def _begin(self, seed: int) -> None:
        random = instance_random("cube", seed)
        fewest, most = SCRAMBLES
        length = fewest + int(random.random() * (most - fewest + 1))
        self.stickers = SOLVED
        last = ""
        for _ in range(length):
            choices = [turn for turn in TURNS if turn[0] != last]
            turn = choices[int(random.random() * len(choices))]
            self.stickers, last = turned(self.stickers, turn), turn[0]

    def _legal(self) -> tuple[str, ...]:
        return tuple(TURNS)

    def _play(self, action: str) -> float:
        self.stickers = turned(self.stickers, action)
        return STEP + REWARD * self._is_won()

    def _is_over(self) -> bool:
        return self._is_won()

    def _is_won(self) -> bool:
        return self.stickers == SOLVED

    def _observation(self) -> str:
        return "\n".join(
            f"{face} {self.stickers[4 * place : 4 * place + 2]} {self.stickers[4 * place + 2 : 4 * place + 4]}"
            for place, face in enumerate(FACES)
        )

    def _state(self) -> Hashable:
        return self.stickers


def optimum(seed: int) -> float:
    """Return of a shortest solution."""
    cube = Cube(MAX_TURNS)
    cube.reset(seed)
    return REWARD + STEP * len(solution(cube.stickers))


CUBE = EnvironmentSpec(
    name="cube",
    version=2,
    instruction=(
        "This is a Rubik's cube of size 2. Turn faces until each face has one colour, in few turns. Each line shows a "
        "face, U up, R right, F front, D down, L left or B back, and its upper and lower row of colours. An action is "
        "a face, U, R or F, for a clockwise quarter turn; with ' after it the turn is anticlockwise, with 2 it is a "
        f"half turn. Actions: {', '.join(TURNS)}."
    ),
    max_turns=MAX_TURNS,
    open=lambda: Cube(MAX_TURNS),
    lowest=STEP * MAX_TURNS,
    optimum=optimum,
)
