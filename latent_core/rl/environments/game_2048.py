"""2048 (Cirulli 2014): slide the tiles of a 4×4 board; equal tiles that meet become one of their sum.

A new tile appears after each move on a random empty cell: a 2, or a 4 in one case of ten. The reward of a move is its
points, the sum of the tiles that it made.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from latent_core.rl.environments.game import Game, instance_random
from latent_core.rl.environments.protocol import EnvironmentSpec

SIZE = 4
ACTIONS = ("left", "down", "right", "up")
FOUR = 0.1  # probability that a new tile is a 4

Board = tuple[tuple[int, ...], ...]  # rows from above; 0 is an empty cell


def slid(row: Sequence[int]) -> tuple[tuple[int, ...], int]:
    """A row after its tiles went to the left, and the points made. A tile merges once in a move."""
    tiles = [tile for tile in row if tile]
    merged: list[int] = []
    points = 0
    while tiles:
        tile = tiles.pop(0)
        if tiles and tiles[0] == tile:
            tile += tiles.pop(0)
            points += tile
        merged.append(tile)
    return (*merged, *[0] * (len(row) - len(merged))), points


def moved(board: Board, action: str) -> tuple[Board, int]:
    """The board after a move, without a new tile, and the points made."""
    turned = action in ("up", "down")
    backwards = action in ("right", "down")
    lines: Sequence[Sequence[int]] = list(zip(*board, strict=True)) if turned else board
    results = [slid(line[::-1] if backwards else line) for line in lines]
    after = [line[::-1] if backwards else line for line, _ in results]
    points = sum(made for _, made in results)
    return tuple(zip(*after, strict=True)) if turned else tuple(after), points


class Game2048(Game):
    """A move that changes nothing is illegal, as in the game."""

    def _begin(self, seed: int) -> None:
        self._random = instance_random("2048", seed)
        self.board: Board = ((0,) * SIZE,) * SIZE
        self._add_tile()
        self._add_tile()

    def _add_tile(self) -> None:
        empty = [(row, column) for row in range(SIZE) for column in range(SIZE) if not self.board[row][column]]
        place = empty[int(self._random.random() * len(empty))]
        tile = 4 if self._random.random() < FOUR else 2
        self.board = tuple(
            tuple(tile if (row, column) == place else old for column, old in enumerate(tiles))
            for row, tiles in enumerate(self.board)
        )

    def _legal(self) -> tuple[str, ...]:
        return tuple(action for action in ACTIONS if moved(self.board, action)[0] != self.board)

    def _play(self, action: str) -> float:
        self.board, points = moved(self.board, action)
        self._add_tile()
        return float(points)

    def _is_over(self) -> bool:
        return not self._legal()

    def _is_won(self) -> None:
        return None

    def _observation(self) -> str:
        return "\n".join(" ".join(str(tile or "_") for tile in row) for row in self.board)

    def _state(self) -> Hashable:
        return self.board


MAX_TURNS = 40

GAME_2048 = EnvironmentSpec(
    name="game_2048",
    version=1,
    instruction=(
        "This is the game 2048. A move slides all tiles one way; two equal tiles that meet become one tile of their "
        "sum, and you get its value as points. _ is an empty cell. A move must change the board. "
        f"Make as many points as you can. An action is one of: {', '.join(ACTIONS)}."
    ),
    max_turns=MAX_TURNS,
    open=lambda: Game2048(MAX_TURNS),
    lowest=0.0,
)
