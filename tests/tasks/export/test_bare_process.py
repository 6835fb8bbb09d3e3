"""What is exported answers in a process that knows nothing of this project exactly as its evaluation in the store.

Run is the very code of the card, without its last line, which prints one answer.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from latent_core.store import Artifact
from tasks.export.model import CARD, export_model, export_source
from tasks.export.provenance import Provenance
from tasks.tables import SAMPLES
from tests.support.stage_bench import MINI
from tests.tasks.export.conftest import RATIO, SmallRun

BLOCKS = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ASK = """

import json, sys
found = [[tokenizer(text, add_special_tokens=False)["input_ids"], complete(text)] for text in (
    prompt(question, {ratio}) for question in json.load(open({questions!r})))]
assert not any(name.partition(".")[0] in ("latent_core", "tasks", "flows") for name in sys.modules)
json.dump(found, open({answers!r}, "w"))
"""


def _answers(folder: Path, evaluation: Artifact, block: int = 0, **replaced: str) -> list[list[list[int]]]:
    """Prompt and completion of every question of an evaluation, by the code of a card, as token ids."""
    code = BLOCKS.findall((folder / CARD).read_text(encoding="utf-8"))[block]
    code, _, last = code.rstrip().rpartition("\n")
    assert last.lstrip().startswith("print(answer(")
    indent = last[: -len(last.lstrip())]
    for name, value in replaced.items():
        assert name in code
        code = code.replace(name, value)
    questions, answers = folder.parent / "questions.json", folder.parent / "answers.json"
    questions.write_text(json.dumps([row["question"] for row in SAMPLES.rows(evaluation)]), encoding="utf-8")
    program = folder.parent / "program.py"
    ask = ASK.format(ratio=RATIO, questions=str(questions), answers=str(answers))
    program.write_text(code + textwrap.indent(ask, indent), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["VLLM_PLUGINS"] = ""  # where this project is installed, vLLM would load its plugin
    subprocess.run([sys.executable, str(program)], cwd=folder, env=environment, check=True, timeout=500)
    found: list[list[list[int]]] = json.loads(answers.read_text())
    return found


def _expected(evaluation: Artifact) -> list[list[list[int]]]:
    rows: list[dict[str, Any]] = list(SAMPLES.rows(evaluation))
    assert len({tuple(row["output_token_ids"]) for row in rows}) > 1
    return [[row["prompt_token_ids"], row["output_token_ids"]] for row in rows]


@pytest.mark.parametrize("name", ["standard", "dual"])
def test_exported_model_answers_with_transformers_alone_as_in_its_evaluation(
    small_run: SmallRun, tmp_path: Path, name: str
) -> None:
    export_model(small_run.models[name], tmp_path / "model", Provenance(small_run.bench.store))
    evaluation = small_run.evaluations[name]
    assert _answers(tmp_path / "model", evaluation) == _expected(evaluation)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["standard", "dual"])
def test_exported_adapter_answers_with_peft_on_its_exported_base_as_in_its_evaluation(
    small_run: SmallRun, tmp_path: Path, name: str
) -> None:
    provenance = Provenance(small_run.bench.store)
    export_model(small_run.models[name], tmp_path / "model", provenance, adapter=True)
    if name == "standard":
        export_source(MINI, tmp_path / "BASE")
    else:
        export_model(small_run.dual, tmp_path / "BASE", provenance)
    evaluation = small_run.evaluations[name]
    assert _answers(tmp_path / "model", evaluation, **{'"BASE"': '"../BASE"'}) == _expected(evaluation)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed")
@pytest.mark.parametrize("name", ["standard", "dual"])
def test_exported_model_answers_with_vllm_alone_as_in_its_evaluation(
    small_run: SmallRun, tmp_path: Path, name: str
) -> None:
    export_model(small_run.models[name], tmp_path / "model", Provenance(small_run.bench.store))
    evaluation = small_run.evaluations[name]
    options = 'dtype="float32", enforce_eager=True, max_model_len=1024, block_size=32, gpu_memory_utilization=0.2'
    llm = f"LLM(MODEL, {options})"  # the last one: of a CPU's memory too vLLM wants nearly all
    assert _answers(tmp_path / "model", evaluation, 1, **{"LLM(MODEL)": llm}) == _expected(evaluation)
