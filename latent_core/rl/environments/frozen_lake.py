"""FrozenLake of gymnasium (Towers et al., arXiv 2407.17032): cross a frozen lake without falling into a hole.

Rewards and transitions are those of `FrozenLake-v1`: 1 at the goal and 0 elsewhere; on slippery ice a move goes in the
wanted direction or in one of the two beside it, each with probability 1/3. Each seed has a map of its own that can be
solved. Its start and goal are drawn too, since maps between two corners are few.
"""

from __future__ import annotations

from collections.abc import Hashable
from random import Random

from gymnasium.envs.toy_text.frozen_lake import DOWN, LEFT, RIGHT, UP, FrozenLakeEnv

from latent_core.rl.environments.game import Game, instance_random
from latent_core.rl.environments.protocol import EnvironmentSpec

SIZE = 4
HOLES = 0.2  # probability that a tile is a hole, as in gymnasium's generator of maps
MOVES = (2, 12)  # fewest and most moves from the start to the goal
ACTIONS = {"left": LEFT, "down": DOWN, "right": RIGHT, "up": UP}
SYMBOLS = {"S": "_", "F": "_", "H": "H", "G": "G"}
ON_TILE = {"S": "P", "F": "P", "H": "X", "G": "*"}  # the player on each tile

Transitions = dict[int, dict[int, list[tuple[float, int, float, bool]]]]
"""Of each state and action: (probability, next state, reward, whether the game ends), gymnasium's `P`."""


class FrozenLake(Game):
    """All four directions are always legal; at the edge the player stays where it is."""

    def __init__(self, *, is_slippery: bool, max_turns: int) -> None:
        super().__init__(max_turns)
        self._is_slippery = is_slippery

    def _begin(self, seed: int) -> None:
        slips = instance_random("frozen_lake/slips", seed)  # not the numbers that made the map
        self.rows = draw_map(instance_random("frozen_lake/map", seed))
        self._lake = FrozenLakeEnv(desc=self.rows, is_slippery=self._is_slippery)
        self._lake.reset(seed=slips.getrandbits(32))

    @property
    def transitions(self) -> Transitions:
        table: Transitions = self._lake.P
        return table

    @property
    def position(self) -> int:
        """Tile of the player, counted along the rows from 0."""
        return int(self._lake.s)

    def _legal(self) -> tuple[str, ...]:
        return tuple(ACTIONS)

    def _play(self, action: str) -> float:
        _, reward, _, _, _ = self._lake.step(ACTIONS[action])  # type: ignore[no-untyped-call]
        return float(reward)

    def _tile(self) -> str:
        return self.rows[self.position // SIZE][self.position % SIZE]

    def _is_over(self) -> bool:
        return self._tile() in "HG"

    def _is_won(self) -> bool:
        return self._tile() == "G"

    def _observation(self) -> str:
        symbols = [[SYMBOLS[tile] for tile in row] for row in self.rows]
        symbols[self.position // SIZE][self.position % SIZE] = ON_TILE[self._tile()]
        return "\n".join("".join(row) for row in symbols)

    def _state(self) -> Hashable:
        return self.position


def draw_map(random: Random) -> list[str]:
    """Rows of S (start), F (frozen), H (hole) and G (goal); the goal can be reached, but not with one move."""
    fewest, most = MOVES
    while True:
        start, goal, *others = sorted(range(SIZE * SIZE), key=lambda _: random.random())
        tiles = {start: "S", goal: "G"} | {tile: "H" if random.random() < HOLES else "F" for tile in others}
        rows = ["".join(tiles[SIZE * row + column] for column in range(SIZE)) for row in range(SIZE)]
        table = values(FrozenLakeEnv(desc=rows, is_slippery=False).P, most)
        if table[fewest - 1][start] == 0 and table[most][start] == 1:
            return rows


def values(transitions: Transitions, turns: int) -> list[dict[int, float]]:
    """Best expected return from each state with 0, 1, …, `turns` turns left, by value iteration (Bellman 1957)."""
    table = [dict.fromkeys(transitions, 0.0)]
    for _ in range(turns):
        later = table[-1]
        table.append(
            {state: max(_worth(outcomes, later) for outcomes in of.values()) for state, of in transitions.items()}
        )
    return table


def _worth(outcomes: list[tuple[float, int, float, bool]], later: dict[int, float]) -> float:
    return sum(chance * (reward + (0.0 if ends else later[then])) for chance, then, reward, ends in outcomes)


def best_action(transitions: Transitions, table: list[dict[int, float]], state: int, turns_left: int) -> str:
    """An action of the best expected return, by the table of `values`; `turns_left` counts the present turn."""
    later = table[turns_left - 1]
    return max(ACTIONS, key=lambda name: _worth(transitions[state][ACTIONS[name]], later))


def _instruction(ice: str) -> str:
    return (
        "You are P on a frozen lake. Reach the goal G; a hole H ends the game. _ is ice. "
        f"{ice}An action is one of: {', '.join(ACTIONS)}."
    )


def _spec(name: str, *, is_slippery: bool, max_turns: int, ice: str) -> EnvironmentSpec:
    def open_lake() -> FrozenLake:
        return FrozenLake(is_slippery=is_slippery, max_turns=max_turns)

    def optimum(seed: int) -> float:
        lake = open_lake()
        lake.reset(seed)
        return values(lake.transitions, max_turns)[max_turns][lake.position]

    return EnvironmentSpec(
        name=name,
        version=1,
        instruction=_instruction(ice),
        max_turns=max_turns,
        open=open_lake,
        lowest=0.0,
        optimum=optimum,
    )


FROZEN_LAKE = _spec("frozen_lake", is_slippery=False, max_turns=MOVES[1], ice="")
FROZEN_LAKE_SLIPPERY = _spec(
    "frozen_lake_slippery",
    is_slippery=True,
    max_turns=16,
    ice="The ice is slippery: one move in three goes where you want, the others to the left or right of it. ",
)
