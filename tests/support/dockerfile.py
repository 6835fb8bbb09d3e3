"""The Dockerfile's instructions, and what its COPY lines take from the folder that it is built in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_FROM = re.compile(r"(?P<base>\S+)\s+AS\s+(?P<name>\S+)")


class Stage(NamedTuple):
    """A stage: its name, what it starts from, and its instructions as (word, rest), in order."""

    name: str
    base: str
    steps: list[tuple[str, str]]

    def all(self, word: str) -> list[str]:
        return [rest for step, rest in self.steps if step == word]

    def copied(self) -> list[tuple[list[str], str]]:
        """What COPY takes from the build's folder, and where it puts it; not what it takes from other stages."""
        found = [rest.split() for rest in self.all("COPY") if not rest.startswith("--from=")]
        return [(words[:-1], words[-1]) for words in found]


def stages(file: Path = ROOT / "Dockerfile") -> dict[str, Stage]:
    """The stages by name, in order. Raises ValueError for an instruction before the first stage other than ARG."""
    text = re.sub(r"^\s*#.*\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, Stage] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM" and (match := _FROM.fullmatch(rest)):
            found[match["name"]] = Stage(match["name"], match["base"], [])
        elif found:
            list(found.values())[-1].steps.append((word, rest.strip()))
        elif word != "ARG":
            raise ValueError(f"{line!r} stands before the first stage")
    return found


def lineage(name: str) -> list[Stage]:
    """A stage and those that it starts from, the last of them first."""
    known = stages()
    found = [known[name]]
    while found[0].base in known:
        found.insert(0, known[found[0].base])
    return found


def words_of(instruction: str) -> list[str]:
    """The words of an ENTRYPOINT or CMD in its JSON form."""
    return [str(word) for word in json.loads(instruction)]
