r"""Exact comparison under math-verify, which holds two numbers equal that differ by less than 10^-15 or 10^-6.

With that absolute tolerance 1.6e-19 equals -1.6e-19, and 1/20! equals 1/21!. Here an equality that math-verify found
stands only if the two cannot be shown apart: rational numbers are compared exactly, other numbers by a difference that
is evaluated until its digits are certain, expressions at a fixed point. Only where an answer is written as a decimal
may it differ from an exact value, and then relative to it. Imported by the grading worker alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sympy
from math_verify import grader
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.core.function import AppliedUndef

DECIMAL_PLACES = sympy.Rational(1, 2 * 10**6)  # 0.333333 is 1/3, and 0.33333 is not, as math-verify has it
DECIMAL_TOLERANCE = sympy.Rational(1, 10**6)  # relative, for values below one
DIGITS = 200  # to which a difference that is not rational is evaluated before it counts as zero
CERTAIN = sympy.Rational(1, 10**150)  # relative: what such a difference must exceed; cancellation leaves less
MOST_BITS = 1_000_000  # of a power or factorial that is written out; larger ones are left to math-verify


@contextmanager
def exact_numbers() -> Iterator[None]:
    """While it is open, math-verify's two comparisons of numbers and expressions are exact ones, in sets, tuples,
    intervals, equations and matrices too."""
    numeric, symbolic = grader.sympy_numeric_eq, grader.sympy_symbolic_eq

    def exact_numeric(first: Any, second: Any, float_rounding: int, numeric_precision: int) -> bool:
        if all(grader.is_atomic_or_pct_atomic(value, sympy.Integer) for value in (first, second)):
            return bool(numeric(first, second, float_rounding, numeric_precision))  # exact, and 9% equals 9 there
        if (same := same_number(first, second)) is not None:
            return same
        return numeric(first, second, float_rounding, numeric_precision) and not shown_apart(first, second)

    def exact_symbolic(first: Any, second: Any) -> bool:
        return symbolic(first, second) and not shown_apart(first, second)

    grader.sympy_numeric_eq, grader.sympy_symbolic_eq = exact_numeric, exact_symbolic
    try:
        yield
    finally:
        grader.sympy_numeric_eq, grader.sympy_symbolic_eq = numeric, symbolic


def same_number(first: Any, second: Any) -> bool | None:
    """Whether two numbers are equal, a decimal within its tolerances; None where either is no number to be evaluated.

    Two decimals are compared digit by digit.
    """
    if not all(isinstance(value, sympy.Expr) and not _unknowns(value) for value in (first, second)):
        return None
    if first.has(ExprWithLimits) or second.has(ExprWithLimits):
        return None  # an integral's digits take seconds
    is_decimal = [bool(value.has(sympy.Float)) for value in (first, second)]
    try:
        first, second = (_written_out(sympy.nsimplify(value, rational=True)) for value in (first, second))
    except OverflowError:
        return None
    difference = first - second
    if isinstance(difference, sympy.Rational) and (all(is_decimal) or not any(is_decimal) or difference == 0):
        return bool(difference == 0)
    if not any(is_decimal) and isinstance(ratio := first / second, sympy.Rational):
        return bool(ratio == 1)  # two multiples of the same root
    difference, first, second = (value.evalf(20, maxn=DIGITS) for value in (difference, first, second))
    if not all(value.is_number and value.is_finite for value in (difference, first, second)):
        return None
    scale, distance = max(abs(first), abs(second)), abs(difference)
    if any(is_decimal):
        return bool(distance <= DECIMAL_PLACES and distance <= DECIMAL_TOLERANCE * scale)
    return bool(distance <= CERTAIN * scale)


def shown_apart(first: Any, second: Any) -> bool:
    """Whether two expressions or matrices certainly differ: where their unknowns have a certain value, they do."""
    if isinstance(first, sympy.MatrixBase) and isinstance(second, sympy.MatrixBase):
        return first.shape != second.shape or any(map(shown_apart, first.flat(), second.flat()))
    if not (isinstance(first, sympy.Expr) and isinstance(second, sympy.Expr)):
        return False
    point = {
        unknown: sympy.Rational(2 * place + 37, 2 * place + 41)  # in (0, 1), and no root of what answers are made of
        for place, unknown in enumerate(sorted(_unknowns(first) | _unknowns(second), key=str))
    }
    return same_number(first.xreplace(point), second.xreplace(point)) is False


def _unknowns(value: Any) -> set[Any]:
    return set(value.free_symbols | value.atoms(AppliedUndef))


def _written_out(value: Any) -> Any:
    """Sums, products, powers and factorials evaluated; raises OverflowError where their digits would not end."""
    if not value.args:
        return value
    arguments = [_written_out(argument) for argument in value.args]
    if isinstance(value, sympy.UnevaluatedExpr):
        return arguments[0]
    if isinstance(value, sympy.Pow) and all(isinstance(argument, sympy.Rational) for argument in arguments):
        base, exponent = arguments
        if abs(exponent) * max(abs(base.p), base.q).bit_length() > MOST_BITS:
            raise OverflowError("power")
    if isinstance(value, sympy.factorial) and arguments[0].is_number and abs(arguments[0]) > MOST_BITS // 20:
        raise OverflowError("factorial")
    return value.func(*arguments) if isinstance(value, (sympy.Add, sympy.Mul, sympy.Pow, sympy.factorial)) else value
