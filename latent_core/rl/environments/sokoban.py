"""Sokoban: push the box onto the target. Small levels made from the seed, each solved by breadth-first search.

Rewards as in gym-sokoban: -0.1 a step, 1 for a box pushed onto a target, -1 for one pushed off it, 10 when all are on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from random import Random

from latent_core.rl.environments.game import Game, instance_random
from latent_core.rl.environments.protocol import EnvironmentSpec

Cell = tuple[int, int]
ACTIONS: dict[str, Cell] = {"left": (0, -1), "down": (1, 0), "right": (0, 1), "up": (-1, 0)}
STEP, ON_TARGET, SOLVED = -0.1, 1.0, 10.0
WALLS = 0.2  # probability that a cell with nothing on it is a wall


@dataclass(frozen=True)
class Level:
    """What does not change: the cells that are no wall, and the targets among them."""

    floor: frozenset[Cell]
    targets: frozenset[Cell]


@dataclass(frozen=True)
class Position:
    """What a move changes."""

    player: Cell
    boxes: frozenset[Cell]


def moved(level: Level, position: Position, action: str) -> Position | None:
    """The position after a move, or None where a wall or a box that cannot be pushed is in the way."""
    down, right = ACTIONS[action]
    cell = (position.player[0] + down, position.player[1] + right)
    if cell not in level.floor:
        return None
    if cell not in position.boxes:
        return Position(cell, position.boxes)
    beyond = (cell[0] + down, cell[1] + right)
    if beyond not in level.floor or beyond in position.boxes:
        return None
    return Position(cell, position.boxes - {cell} | {beyond})


def solution(level: Level, start: Position, limit: int) -> list[str] | None:
    """The fewest moves that bring all boxes onto targets, by breadth-first search; None if there are more than `limit`.

    They also have the best return: boxes pushed on and off sum to the same in all solutions.
    """
    reached: dict[Position, list[str]] = {start: []}
    queue = deque([start])
    while queue:
        position = queue.popleft()
        moves = reached[position]
        if position.boxes == level.targets:
            return moves
        if len(moves) == limit:
            continue
        for action in ACTIONS:
            after = moved(level, position, action)
            if after is not None and after not in reached:
                reached[after] = [*moves, action]
                queue.append(after)
    return None


def read_level(text: str) -> tuple[Level, Position]:
    """A level from its picture, in the symbols of the observations. Raises ValueError where there is not one player."""
    cells = {(row, column): symbol for row, line in enumerate(text.split("\n")) for column, symbol in enumerate(line)}
    (player,) = (cell for cell, symbol in cells.items() if symbol in "PS")
    level = Level(
        floor=frozenset(cell for cell, symbol in cells.items() if symbol != "#"),
        targets=frozenset(cell for cell, symbol in cells.items() if symbol in "O*S"),
    )
    return level, Position(player, frozenset(cell for cell, symbol in cells.items() if symbol in "X*"))


def picture(level: Level, position: Position, size: int) -> str:
    """Rows of `size` symbols: # wall, _ floor, O target, X box, * box on target, P player, S player on target."""

    def symbol(cell: Cell) -> str:
        is_target = cell in level.targets
        if cell == position.player:
            return "S" if is_target else "P"
        if cell in position.boxes:
            return "*" if is_target else "X"
        if cell not in level.floor:
            return "#"
        return "O" if is_target else "_"

    return "\n".join("".join(symbol((row, column)) for column in range(size)) for row in range(size))


class Sokoban(Game):
    """One box. A level of `size` × `size` cells, walls around it included, that `longest` moves or fewer solve."""

    illegal_reward = STEP

    def __init__(self, *, size: int, longest: int, max_turns: int) -> None:
        super().__init__(max_turns)
        self.size = size
        self._longest = longest

    def _begin(self, seed: int) -> None:
        random = instance_random(f"sokoban/{self.size}", seed)
        while True:
            level, position = _drawn(random, self.size)
            if solution(level, position, self._longest):
                break
        self.set_up(level, position)

    def set_up(self, level: Level, position: Position) -> None:
        """Go on from this level and position, whatever the seed."""
        self.level, self.position = level, position

    def _legal(self) -> tuple[str, ...]:
        return tuple(action for action in ACTIONS if moved(self.level, self.position, action) is not None)

    def _play(self, action: str) -> float:
        after = moved(self.level, self.position, action)
        assert after is not None
        before_on = len(self.position.boxes & self.level.targets)
        self.position = after
        return STEP + ON_TARGET * (len(after.boxes & self.level.targets) - before_on) + SOLVED * self._is_won()

    def _is_over(self) -> bool:
        return self._is_won()

    def _is_won(self) -> bool:
        return self.position.boxes == self.level.targets

    def _observation(self) -> str:
        return picture(self.level, self.position, self.size)

    def _state(self) -> Hashable:
        return self.position.player, tuple(sorted(self.position.boxes))


def _drawn(random: Random, size: int) -> tuple[Level, Position]:
    """Walls, box, target and player at random; most such levels cannot be solved."""
    inner = [(row, column) for row in range(1, size - 1) for column in range(1, size - 1)]
    box, target, player, *others = sorted(inner, key=lambda _: random.random())
    floor = {box, target, player, *(cell for cell in others if random.random() >= WALLS)}
    return Level(frozenset(floor), frozenset([target])), Position(player, frozenset([box]))


def _spec(name: str, *, size: int, longest: int, max_turns: int) -> EnvironmentSpec:
    def open_level() -> Sokoban:
        return Sokoban(size=size, longest=longest, max_turns=max_turns)

    def optimum(seed: int) -> float:
        game = open_level()
        game.reset(seed)
        moves = solution(game.level, game.position, max_turns)
        assert moves is not None
        return STEP * len(moves) + ON_TARGET * len(game.position.boxes) + SOLVED

    return EnvironmentSpec(
        name=name,
        version=1,
        instruction=(
            "You are P. Push the box X onto the target O. # is a wall, _ is floor, S is you on the target. "
            "A box can be pushed, not pulled, and only onto a free cell. "
            f"An action is one of: {', '.join(ACTIONS)}."
        ),
        max_turns=max_turns,
        open=open_level,
        lowest=STEP * max_turns - ON_TARGET,
        optimum=optimum,
    )


SOKOBAN = _spec("sokoban", size=6, longest=15, max_turns=25)
SOKOBAN_SMALL = _spec("sokoban_small", size=5, longest=6, max_turns=10)
