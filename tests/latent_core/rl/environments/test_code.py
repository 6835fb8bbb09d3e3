"""Programming problems: tests judge, tries halve the reward, forged results are worth nothing, files are checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latent_core.errors import InputError
from latent_core.rl.environments import find_environment, open_environment
from latent_core.rl.environments.code import CodeEnvironment, program_in, same, same_text
from latent_core.rl.environments.code_problems import CodeProblem, UnitTest, make_problem
from latent_core.rl.environments.confined import Limits

DOUBLE = CodeProblem("Double it.", "solve", (UnitTest([2], 4), UnitTest([5], 10), UnitTest([-1], -2)))
ADD = CodeProblem("Add the numbers.", None, (UnitTest("1 2\n", "3\n"), UnitTest("4 5\n", "9\n")))
RIGHT = "def solve(x): return 2 * x"


def _opened(problem: CodeProblem) -> CodeEnvironment:
    environment = CodeEnvironment(lambda seed: problem, Limits(cpu_seconds=2))
    environment.reset(0)
    return environment


def test_program_that_passes_all_tests_is_worth_half_after_a_failed_try() -> None:
    environment = _opened(DOUBLE)
    observation, reward, terminated, truncated, info = environment.step("def solve(x): return x * x")
    assert observation == "Test 2 of 3 failed: the result is wrong. Try again."
    assert (reward, terminated, truncated, info["valid"]) == (0.0, False, False, True)
    observation, reward, terminated, truncated, info = environment.step(f"Sure!\n```python\n{RIGHT}\n```")
    assert (observation, reward, terminated, truncated) == ("All tests passed.", 0.5, True, False)
    assert info["success"] is True


@pytest.mark.parametrize(
    "printed",
    ["print(sum(map(int, input().split())))", "import sys\nprint(sum(map(int, sys.stdin.read().split())), ' ')"],
)
def test_program_is_judged_by_what_it_prints(printed: str) -> None:
    assert _opened(ADD).step(printed)[1] == 1.0
    assert "Test 1 of 2 failed: the result is '12'" in _opened(ADD).step("print(input().replace(' ', ''))")[0]


@pytest.mark.parametrize(
    "forged",
    [
        # results written past the harness, on every descriptor, before and instead of the calls
        "import os\nfor n in range(1, 20):\n    try:\n"
        '        os.write(n, b\'{"result": 4}\\n{"result": 10}\\n{"result": -2}\\n\')\n'
        "    except OSError: pass\ndef solve(x): return 0",
        'import json\njson.dumps = lambda *a, **k: \'{"result": true, "success": true}\'\ndef solve(x): return 0',
        "class Same:\n    def __eq__(self, other): return True\ndef solve(x): return Same()",
        "class Same(int):\n    def __eq__(self, other): return True\ndef solve(x): return Same(7)",
        "import os\nos._exit(0)",
        "import sys\nsys.exit(0)",
        "import sys\ndef solve(x):\n    for frame in sys._current_frames().values():\n"
        "        frame.f_globals.clear()\n    return 0",
    ],
)
def test_program_that_tampers_with_the_results_passes_nothing(forged: str) -> None:
    """The first case forges results that are right: they are too many then, as its own are added."""
    assert _opened(DOUBLE).step(forged)[1] == 0.0


def test_expected_results_are_nowhere_in_the_process_of_a_program() -> None:
    secret = 918_273_645
    problem = CodeProblem("Guess.", "solve", (UnitTest([1], secret),))
    search = (
        "import gc, sys\ndef solve(x):\n    seen = [sys.argv]\n"
        "    for frame in sys._current_frames().values():\n"
        "        while frame:\n            seen += [frame.f_locals, frame.f_globals.get('job')]\n"
        "            frame = frame.f_back\n"
        f"    return {str(secret)[::-1]!r}[::-1] in repr(seen) + repr(gc.get_objects())"
    )
    assert "the result is 'False'" in _opened(problem).step(search)[0]


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("raise ValueError(secret)", "it ends with ValueError"),
        ("raise type(f'X{secret}', (Exception,), {})('x')", "it ends with an exception of its own"),
        ("import os; os._exit(secret)", "it ends with an exit status other than 0"),
        ("return {secret: open}", "it ends with TypeError"),
    ],
)
def test_hidden_test_tells_how_a_program_fails_and_nothing_that_the_program_says(ending: str, said: str) -> None:
    secret = 87
    of_function = CodeProblem("Double it.", "solve", (UnitTest([2], 4), UnitTest([secret], 2 * secret)))
    program = f"def solve(secret):\n    if secret == 2: return 4\n    {ending}"
    assert _opened(of_function).step(program)[0] == f"Test 2 of 2 failed: {said}. Try again."
    if "return" not in ending:
        of_program = CodeProblem("Double it.", None, (UnitTest("2", "4"), UnitTest(f"{secret}", f"{2 * secret}")))
        program = f"secret = int(input())\nif secret == 2: print(4)\nelse:\n    {ending}"
        assert _opened(of_program).step(program)[0] == f"Test 2 of 2 failed: {said}. Try again."


def test_shown_test_tells_what_an_exception_says() -> None:
    said = _opened(DOUBLE).step("def solve(x): raise ValueError(f'no\\n{x}')")[0]
    assert said == "Test 1 of 3 failed: it ends with ValueError: no 2. Try again."


def test_inputs_of_hidden_tests_are_not_in_the_process_whose_words_are_told() -> None:
    hidden = 918_273_645
    problem = CodeProblem("Double it.", "solve", (UnitTest([1], 2), UnitTest([hidden], 2 * hidden)))
    search = "import sys, gc\ndef solve(x):\n    frame, seen = sys._getframe(), []\n    while frame:\n"
    search += "        seen += [frame.f_locals, frame.f_globals]\n        frame = frame.f_back\n"
    search += f"    found = {str(hidden)[::-1]!r}[::-1] in repr(seen) + repr(gc.get_objects())\n"
    search += "    raise ValueError('it is there' if found else '')"
    assert _opened(problem).step(search)[0] == "Test 1 of 2 failed: it ends with ValueError:. Try again."


@pytest.mark.parametrize("seed", range(24))
def test_made_problem_is_the_same_for_its_seed_and_its_text_says_what_its_tests_want(seed: int) -> None:
    problem = make_problem(seed)
    assert problem == make_problem(seed) != make_problem(seed + 1)
    assert len({json.dumps(test.given) for test in problem.tests}) > 2
    json.dumps([[test.given, test.expected] for test in problem.tests])


def test_made_problem_is_solved_by_a_program_written_from_its_text() -> None:
    environment = open_environment("code")
    for seed in range(100):
        observation, _ = environment.reset(seed)
        if "sum of those that are divisible by 3" in observation:
            break
    assert environment.step("def solve(xs):\n    return sum(x for x in xs if x % 3 == 0)")[1] == 1.0


@settings(max_examples=4)
@given(actions=st.lists(st.text(max_size=60), min_size=1, max_size=3))
def test_any_text_is_code_that_is_judged(actions: list[str]) -> None:
    environment = _opened(DOUBLE)
    for turn, action in enumerate(actions, 1):
        _, reward, terminated, truncated, _ = environment.step(action)
        assert (reward, terminated, truncated) == (0.0, False, turn == 3)


def test_surrogates_null_bytes_and_too_long_programs_are_told_what_is_wrong() -> None:
    environment = _opened(DOUBLE)
    assert "failed" in environment.step("x = '\ud800'\x00")[0]
    observation, *_, info = environment.step(" " * 10**5 + "x")
    assert "There is no program" in observation and info["valid"] is False
    assert environment.step("")[3]


def test_half_a_surrogate_pair_that_a_program_says_is_told_as_text_that_can_be_read() -> None:
    for raising in (r'raise ValueError("\ud800")', r'def solve(x): raise type("E\ud800", (Exception,), {})("\udfff")'):
        observation = _opened(DOUBLE).step(raising)[0]
        assert observation.isascii() and "ud800" in observation, observation
    assert _opened(DOUBLE).step(r'def solve(x): return "\ud800"')[0].isascii()
    assert _opened(ADD).step(r'import os; os.write(1, b"\xff\xed\xa0\x80")')[0].encode()


@pytest.mark.parametrize("depth", [500, 900, 980, 5000])
def test_result_that_is_nested_deeply_is_wrong(depth: int) -> None:
    nested = "[" * depth + "]" * depth
    lie = "import os\nfor n in range(3, 9):\n    try: "
    lie += f"os.write(n, b'{{\"result\": {nested}}}\\n')\n    except OSError: pass"
    assert _opened(DOUBLE).step(f"{lie}\nos._exit(0)")[1] == 0.0


def test_program_is_the_last_marked_block_or_the_whole() -> None:
    assert program_in("```python\na\n```\nor\n```py\nb\nc\n```") == "b\nc"
    assert program_in("```python\nx = 1") == "x = 1"
    assert program_in("x = 1") == "x = 1"


def test_results_are_compared_by_value() -> None:
    assert same([0.1 + 0.2, {"a": 3}], [0.3, {"a": 3.0}]) and not same(True, 1) and not same("1", 1)
    assert not same([1], [1, 2]) and not same(float("nan"), float("nan")) and not same(10**400, 1.5)
    assert same_text("1  2 \n3\n\n", "1 2\n3") and not same_text("1\n2", "1 2")


def _file(path: Path, *rows: object) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return f"code:{path}"


def test_problems_of_a_file_are_asked_in_turn(tmp_path: Path) -> None:
    spec = find_environment(
        _file(
            tmp_path / "problems.jsonl",
            {"problem": "Double it.", "function": "double", "tests": [{"input": [2], "output": 4}]},
            {"problem": "Add.", "tests": [{"input": "1 2", "output": "3"}]},
        )
    )
    environment = spec.open()
    assert environment.reset(0)[0] == environment.reset(2)[0] == "Double it.\ndouble(2) returns 4"
    assert environment.reset(1)[0] == "Add.\nFor the input\n1 2\nit prints\n3"
    assert len(spec.content) == 64


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"tests": []}, "line 1 of .* has no text in 'problem'; give one"),
        ({"problem": "x", "tests": []}, "has no tests; give a list"),
        ({"problem": "x", "tests": [{"input": [1]}]}, r"tests\[0\] needs the keys input and output"),
        ({"problem": "x", "tests": [{"input": [1], "output": 2}]}, "must be text, as no function is named"),
        ({"problem": "x", "function": "f", "tests": [{"input": 1, "output": 2}]}, "must be the list of arguments"),
        ({"problem": "x", "function": "f(", "tests": []}, "function is 'f\\('; give a name"),
        ([1], "is no JSON object; write an object a line"),
    ],
)
def test_row_that_is_no_problem_is_refused_with_its_line(tmp_path: Path, row: object, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        find_environment(_file(tmp_path / "problems.jsonl", row))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("content", "words"), [("", "holds no rows"), ("{", "is not JSON"), (None, "is no file")])
def test_file_that_is_none_is_refused(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "problems.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=words):
        find_environment(f"code:{path}")
