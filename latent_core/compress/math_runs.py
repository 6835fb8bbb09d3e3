"""Which neighbouring units of a text make one mathematical expression, such as `35 + 12 = 47` or `\\frac{1}{2}x = 3`.

The grammar is of neighbours only: nothing is parsed as algebra. What it must get right is that no expression is cut in
two; that a word now and then belongs to one ("40 items - 4 items = 36", "total = 47") is the lesser harm.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum, auto

from latent_core.compress.clusters import is_unspaced
from latent_core.compress.spans import is_latex, is_number, is_operator

_RELATIONS = frozenset("=<>≤≥≠≈") | frozenset(r"\le \leq \ge \geq \ne \neq \approx \equiv \ll \gg \lt \gt".split())
_SIGNS = frozenset(["+", "-", "−", "±", r"\pm", r"\mp"])
_VARIABLE = re.compile(r"[A-Za-zΑ-Ωα-ω]")
_ARTICLES = frozenset("aAI")  # letters that are words, unless a sign or another symbol touches them
_DISPLAYS = frozenset([r"\[", r"\]", r"\(", r"\)"])
_CURRENCIES = frozenset("€£¥")
_OPENING, _CLOSING = frozenset("(["), frozenset(")]")


class Role(Enum):
    """What a unit can be in an expression."""

    NUMBER = auto()
    VARIABLE = auto()
    LATEX = auto()
    BRACKET = auto()  # of a pair that holds nothing but mathematics
    RELATION = auto()
    OPERATOR = auto()
    WORD = auto()
    OTHER = auto()  # punctuation


OPERANDS = frozenset([Role.NUMBER, Role.VARIABLE, Role.LATEX])
INFIX = frozenset([Role.RELATION, Role.OPERATOR])
_MATHEMATICS = OPERANDS | INFIX | {Role.BRACKET}


class Units:
    """The units of a text, `words`, with the text between each and the next, `gaps`, shape (units - 1,)."""

    def __init__(self, words: Sequence[str], gaps: Sequence[str]) -> None:
        self.words = words
        self.gaps = gaps
        self.roles = [_role(word) for word in words]
        self._closes_at = _pairs(words)
        for place in range(len(words)):
            if self.roles[place] is Role.OPERATOR and self._is_hyphen(place):
                self.roles[place] = Role.OTHER
        for opening, closing in sorted(self._closes_at.items(), reverse=True):  # inner pairs first
            if words[opening] in _OPENING and self._holds_mathematics(opening, closing):
                self.roles[opening] = self.roles[closing] = Role.BRACKET

    def runs(self) -> list[tuple[int, int]]:
        """[first, stop) of maximal runs of joined units, most of them of one unit, in order; they cover all units."""
        count = len(self.words)
        if not count:
            return []
        joined = [self._joins(place) for place in range(count - 1)]
        for opening, closing in self._closes_at.items():
            if self.roles[opening] in (Role.BRACKET, Role.LATEX):
                joined[opening:closing] = [True] * (closing - opening)
        starts = [place for place in range(count) if place == 0 or not joined[place - 1]]
        return [piece for run in zip(starts, [*starts[1:], count], strict=True) for piece in self._trimmed(*run)]

    def _trimmed(self, first: int, stop: int) -> list[tuple[int, int]]:
        """The run without the operators that dangle at its ends, each of which is left to itself."""
        start, end = first, stop
        while end - start > 1 and self.roles[start] is Role.OPERATOR and not self._is_sign(start):
            start += 1
        while end - start > 1 and self.roles[end - 1] is Role.OPERATOR:
            end -= 1
        alone = [(place, place + 1) for place in (*range(first, start), *range(end, stop))]
        return sorted([*alone, (start, end)])

    def _is_sign(self, place: int) -> bool:
        return self.words[place] in _SIGNS and self._touches(place) and self.roles[place + 1] not in INFIX

    def _role(self, place: int) -> Role:
        return self.roles[place] if 0 <= place < len(self.roles) else Role.OTHER

    def _touches(self, place: int) -> bool:
        """Whether nothing stands between a unit and the next."""
        return 0 <= place < len(self.gaps) and not self.gaps[place]

    def _is_hyphen(self, place: int) -> bool:
        """Whether a sign only ties words together: well-known, 3-digit, km/h."""
        before = self._touches(place - 1) and self._role(place - 1) is Role.WORD
        after = self._touches(place) and self._role(place + 1) is Role.WORD
        if self.words[place] in "-−":
            return before or after
        return before and (after or (self._touches(place) and self._role(place + 1) is Role.VARIABLE))

    def _holds_mathematics(self, opening: int, closing: int) -> bool:
        inside = range(opening + 1, closing)
        return any(self.roles[place] in OPERANDS for place in inside) and all(
            self.roles[place] in _MATHEMATICS or self.words[place] in ",!%" for place in inside
        )

    def _joins(self, place: int) -> bool:
        """Whether a unit and the next belong to one expression."""
        left, right = self.roles[place], self.roles[place + 1]
        if breaks := self.gaps[place].count("\n"):  # a derivation may go on in the next line
            return breaks == 1 and Role.RELATION in (left, right) and {left, right} <= _MATHEMATICS
        if left in INFIX or right in INFIX:
            return self._joins_infix(place)
        if self._touches(place) and self._joins_touching(place):
            return True
        if Role.LATEX in (left, right):
            return self._joins_latex(place)
        return left is Role.NUMBER and right is Role.WORD and self._is_unit_noun(place + 1)

    def _joins_infix(self, place: int) -> bool:
        left, right = self.roles[place], self.roles[place + 1]
        if {left, right} <= _MATHEMATICS or self.words[place] in "%!":
            return True
        if Role.WORD not in (left, right):
            return False
        if Role.RELATION in (left, right):
            return True
        return self._touches(place) or (left is Role.WORD and self._is_unit_noun(place))

    def _is_unit_noun(self, place: int) -> bool:
        """Whether a word names what the number before it counts, within an expression: 40 items - 4."""
        return (
            self._role(place - 1) is Role.NUMBER
            and "\n" not in self.gaps[place - 1]
            and self._role(place + 1) in INFIX
            and (self._role(place + 2) in OPERANDS | {Role.BRACKET})
            and "\n" not in self.gaps[place] + self.gaps[place + 1]
        )

    def _joins_touching(self, place: int) -> bool:
        left, right = self.roles[place], self.roles[place + 1]
        before, after = self.words[place], self.words[place + 1]
        symbols = OPERANDS | {Role.BRACKET}
        if left in symbols and right in symbols:
            return True
        if after in ("%", "!") and left in symbols:
            return after == "%" or self._role(place + 2) in INFIX
        if before in _CURRENCIES:
            return right is Role.NUMBER
        if ":" in (before, after):
            middle = place if before == ":" else place + 1
            neighbours = (self._role(middle - 1), self._role(middle + 1))
            return neighbours == (Role.NUMBER, Role.NUMBER) and self._touches(middle - 1) and self._touches(middle)
        return left is Role.NUMBER and right is Role.WORD and not is_unspaced(after[0])  # 5km, 3rd

    def _joins_latex(self, place: int) -> bool:
        """Whether a LaTeX unit and the next to it belong together although something stands between them."""
        pair = ((place, place + 1), (place + 1, place))
        for own, other in pair:
            if self.roles[own] is Role.LATEX and self.roles[other] is Role.VARIABLE:
                if self.words[own] in _DISPLAYS:
                    return True
                return self.words[own].startswith("\\") and self.words[other] not in _ARTICLES
        return {self.roles[place], self.roles[place + 1]} <= OPERANDS | {Role.BRACKET}


def _role(word: str) -> Role:
    if is_number(word):
        return Role.NUMBER
    if word in _RELATIONS:
        return Role.RELATION
    if is_operator(word) and word != "%":
        return Role.OPERATOR
    if is_latex(word):
        return Role.LATEX
    if _VARIABLE.fullmatch(word):
        return Role.VARIABLE
    return Role.WORD if word[0].isalpha() else Role.OTHER


def _pairs(words: Sequence[str]) -> dict[int, int]:
    """Where every brace and bracket is closed, by where it is opened; those without a partner are left out."""
    closes_at: dict[int, int] = {}
    braces: list[int] = []
    brackets: list[int] = []
    for place, word in enumerate(words):
        if word == "{":
            braces.append(place)
        elif word == "}" and braces:
            closes_at[braces.pop()] = place
        elif word in _OPENING:
            brackets.append(place)
        elif word in _CLOSING and brackets:
            closes_at[brackets.pop()] = place
    return closes_at
