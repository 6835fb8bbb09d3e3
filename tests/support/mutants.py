"""A mutation sample: small faults are put into a module one at a time, and the tests that mirror it must notice.

    python -m tests.support.mutants latent_core/identity.py tasks/run/schedule.py --per-module 8

Each mutant runs in a copy of the working tree, first against the test files named after the module
(tests/ROOM/test_NAME*.py), then, if it survives, against the whole folder; `MODULE=TEST,TEST` names the tests instead.
The sample depends on the seed and on the module's text. Results are written after every mutant: the same command goes
on where it stopped, and runs only survivors again. A survivor that no test can tell from the module has its reason
written into the file by hand, as `equivalent`.

Why a script: mutmut and cosmic-ray neither draw a sample nor choose tests by module, and mutate one package with one
test command.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

import pytest

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
ARITHMETIC: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult, ast.Div),
    ast.Mod: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitAnd: (ast.BitOr,),
}
MARKS = "not slow and not smollm2 and not browser"
LOG = "mutants.log"
LIBRARIES = ("hypothesis", "pyarrow", "pydantic", "torch", "transformers")  # loaded once for all mutants
TIMEOUT_S = 120.0  # the least; else three times what the tests take on the unchanged module


@dataclass(frozen=True)
class Mutant:
    """One replaced expression: its place in the module, and the text before and after."""

    module: str
    line: int
    kind: str
    start: int
    end: int
    before: str
    after: str

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.after.encode() + source[self.end :]


class Finder(ast.NodeVisitor):
    """Every mutant of a module. Annotations, decorators, f-strings and `if TYPE_CHECKING` are left alone."""

    def __init__(self, module: str, source: bytes) -> None:
        self.module = module
        self.source = source
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.found: list[Mutant] = []

    def _replace(self, kind: str, node: ast.expr | ast.stmt, after: str) -> None:
        assert node.end_lineno and node.end_col_offset is not None
        start = self.starts[node.lineno - 1] + node.col_offset
        end = self.starts[node.end_lineno - 1] + node.end_col_offset
        before = self.source[start:end].decode()
        self.found.append(Mutant(self.module, node.lineno, kind, start, end, before, after))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value:
            self.visit(node.value)

    def visit_arguments(self, node: ast.arguments) -> None:
        for default in (*node.defaults, *node.kw_defaults):
            if default:
                self.visit(default)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.visit(node.args)
        for statement in node.body:
            self.visit(statement)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Python 3.11 does not know the places of expressions in an f-string."""

    def visit_Compare(self, node: ast.Compare) -> None:
        for index, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                ops = [*node.ops[:index], other(), *node.ops[index + 1 :]]
                changed = ast.Compare(node.left, ops, node.comparators)
                self._replace("comparison", node, f"({ast.unparse(changed)})")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        for other in ARITHMETIC.get(type(node.op), ()):
            changed = ast.BinOp(node.left, other(), node.right)
            self._replace("arithmetic", node, f"({ast.unparse(changed)})")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        for other in ARITHMETIC.get(type(node.op), ()):
            self._replace("arithmetic", node, ast.unparse(ast.AugAssign(node.target, other(), node.value)))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self._replace("constant", node, str(not value))
        elif isinstance(value, int):
            self._replace("constant", node, str(value + 1))
        elif isinstance(value, float):
            self._replace("constant", node, repr(value * 2 if value else 1.0))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._replace("branch", node, f"({ast.unparse(node.operand)})")
        elif isinstance(node.op, ast.USub):
            self._replace("arithmetic", node, f"({ast.unparse(node.operand)})")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self._replace("branch", node, f"({ast.unparse(ast.BoolOp(other, node.values))})")
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) not in ("TYPE_CHECKING", "__name__ == '__main__'"):
            self._negate(node.test)
            self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._negate(test)
        self.generic_visit(node)

    def _negate(self, test: ast.expr) -> None:
        if not isinstance(test, ast.UnaryOp):  # `not x` is turned by its own mutant
            self._replace("branch", test, f"(not ({ast.unparse(test)}))")


def mutants_of(module: str, source: bytes) -> list[Mutant]:
    finder = Finder(module, source)
    finder.visit(ast.parse(source))
    return finder.found


def draw(found: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """A sample that takes its kinds in turn, with at most one mutant of an expression while others are left."""
    rng = random.Random(f"{seed}:{found[0].module if found else ''}")
    kinds: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in rng.sample(found, len(found)):
        kinds[mutant.kind].append(mutant)
    order = [row for turn in range(len(found)) for rows in kinds.values() for row in rows[turn : turn + 1]]
    places: set[tuple[int, int]] = set()
    first: list[Mutant] = []
    again: list[Mutant] = []
    for mutant in order:
        (again if (mutant.start, mutant.end) in places else first).append(mutant)
        places.add((mutant.start, mutant.end))
    return (first + again)[:count]


def sets_of_tests(root: Path, module: str, named: str) -> Iterator[list[str]]:
    """The tests to try one after another: the files that bear the module's name, then its folder."""
    if named:
        yield named.split(",")
        return
    path = Path(module)
    folder = Path("tests") / path.parent
    mirrors = sorted(str(test.relative_to(root)) for test in (root / folder).glob(f"test_{path.stem}*.py"))
    if mirrors:
        yield mirrors
    if len(folder.parts) > 2:  # beside a whole package's tests, a module at its top would wait for all of them
        yield [str(folder)]


def noticed(copy: Path, tests: list[str], timeout: float) -> str:
    """The tests if one fails, or if they do not end in time, which is said; else ""."""
    run = os.fork()
    if run == 0:
        os._exit(_run_tests(copy, tests))
    deadline = time.monotonic() + timeout
    try:
        while time.monotonic() < deadline:
            ended, status = os.waitpid(run, os.WNOHANG)
            if ended:
                return " ".join(tests) if status else ""
            time.sleep(0.02)
        return f"{' '.join(tests)} (not done after {timeout:.0f} s)"
    finally:
        with suppress(ProcessLookupError):  # the tests' own processes end with them
            os.killpg(run, signal.SIGKILL)


def _run_tests(copy: Path, tests: list[str]) -> int:
    """In a forked process, which has the libraries already and reads the project from the copy."""
    os.setsid()
    with (copy / LOG).open("wb") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    root = str(Path.cwd())
    os.chdir(copy)
    os.environ["PYTHONPATH"] = str(copy)
    sys.path[:] = [str(copy), *(entry for entry in sys.path if entry not in ("", root))]
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", MARKS, *tests]))


def copied(root: Path, copy: Path) -> None:
    """The working tree as git sees it, with what is not committed yet."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(command, cwd=root, text=True).split("\0"):
        if name and (root / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((root / name).read_bytes())


def write(copy: Path, module: str, source: bytes) -> None:
    """Without the compiled file, which a change within a second and of equal size would leave standing."""
    path = copy / module
    path.write_bytes(source)
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)


def examine(copy: Path, module: str, named: str, sample: list[Mutant]) -> Iterator[tuple[Mutant, str]]:
    """Each mutant with the tests that killed it, "" for a survivor; the unchanged module must pass."""
    source = (copy / module).read_bytes()
    sets = list(sets_of_tests(copy, module, named))
    if not sets:
        raise SystemExit(f"{module}: no tests mirror it; name them: {module}=tests/...")
    limits: list[float] = []

    def killer(mutant: Mutant) -> str:
        for index, tests in enumerate(sets):
            if index == len(limits):
                write(copy, module, source)
                began = time.monotonic()
                if noticed(copy, tests, 1200):
                    print((copy / LOG).read_text(errors="replace")[-3000:], file=sys.stderr)
                    raise SystemExit(f"{module}: {' '.join(tests)} fail without a mutant")
                limits.append(max(TIMEOUT_S, 3 * (time.monotonic() - began)))
            write(copy, module, mutant.applied(source))
            if killed_by := noticed(copy, tests, limits[index]):
                return killed_by
        return ""

    try:
        for mutant in sample:
            yield mutant, killer(mutant)
    finally:
        write(copy, module, source)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("modules", nargs="+", metavar="MODULE[=TESTS]")
    parser.add_argument("--per-module", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=Path("tests/support/mutants.json"))
    parser.add_argument("--again", action="store_true", help="also those that were killed before")
    options = parser.parse_args()
    root = Path.cwd()
    records: dict[str, dict[str, object]] = json.loads(options.json.read_text()) if options.json.is_file() else {}
    seen: list[str] = []
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in LIBRARIES:
        import_module(name)
    with tempfile.TemporaryDirectory(prefix="mutants") as folder:
        copied(root, Path(folder))
        for given in options.modules:
            module, _, named = given.partition("=")
            source = Path(folder, module).read_bytes()
            sample = draw(mutants_of(module, source), options.per_module, options.seed)
            keys = {mutant: hashlib.sha256(mutant.applied(source)).hexdigest()[:16] for mutant in sample}
            seen += keys.values()
            killed_before = {mutant for mutant in sample if records.get(keys[mutant], {}).get("killed_by")}
            todo = [mutant for mutant in sample if options.again or mutant not in killed_before]
            for mutant, killed_by in examine(Path(folder), module, named, todo):
                records[keys[mutant]] = {**records.get(keys[mutant], {}), **asdict(mutant), "killed_by": killed_by}
                options.json.write_text(json.dumps(records, indent=1))
                print(f"{'killed  ' if killed_by else 'SURVIVED'} {module}:{mutant.line}", flush=True)
                print(f"  - {mutant.before}\n  + {mutant.after}", flush=True)
    killed = sum(bool(records[key]["killed_by"]) for key in seen)
    explained = sum(not records[key]["killed_by"] and bool(records[key].get("equivalent")) for key in seen)
    print(f"{killed} of {len(seen)} mutants killed, {explained} survivors explained")
    return 0 if killed + explained == len(seen) else 1


if __name__ == "__main__":
    sys.exit(main())
