"""Chains of thought from the hub: pinned by the commit; what is not there is said in one line."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import huggingface_hub
import pytest

from latent_core.chains import ChainSource, open_source
from latent_core.config.chains import ChainsConfig
from latent_core.errors import InputError
from tests.support.own_chains import row, write_rows

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """A hub with one data set, whose files lie in a folder; `asked` are the revisions that were looked up."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commit = COMMIT
        self.folder = folder
        self.asked: list[str | None] = []
        load = datasets.load_dataset

        def dataset_info(name: str, revision: str | None = None) -> SimpleNamespace:
            self.asked.append(revision)
            return SimpleNamespace(sha=self.commit)

        def local(name: str, subset: str | None, *, split: str, revision: str) -> Any:
            assert name == "owner/name" and revision == self.commit
            return load(str(folder), subset, split=split, cache_dir=f"{folder}-cache")

        monkeypatch.setattr(huggingface_hub, "HfApi", lambda: SimpleNamespace(dataset_info=dataset_info))
        monkeypatch.setattr(datasets, "load_dataset", local)


@pytest.fixture
def hub(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Hub:
    folder = tmp_path_factory.mktemp("owner")  # `datasets` reads splits out of folders' names: no test's own
    write_rows(folder / "train.jsonl", row(), row(answer="8"))
    return Hub(folder, monkeypatch)


def _opened(source: str = "hub:owner/name", **settings: Any) -> ChainSource:
    return open_source(source, ChainsConfig.model_validate(settings))


def test_data_set_is_read_and_pinned_by_the_commit_of_its_revision(hub: Hub) -> None:
    source = _opened("hub:owner/name@main")
    assert [dict(item)["answer"] for item in source.read()] == ["7", "8"] and source.rows == 2
    assert hub.asked == ["main"]
    assert _opened(f"hub:owner/name@{COMMIT}").fingerprint == source.fingerprint and hub.asked == ["main"]
    hub.commit = "f" * 40
    assert _opened().fingerprint != source.fingerprint


def test_missing_split_is_named_with_those_there_are(hub: Hub) -> None:
    with pytest.raises(InputError, match=r"hub:owner/name, split 'dev'.*train") as caught:
        _opened(split="dev")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("train.jsonl", '{"question": ', "JSON parse error"),
        ("train.jsonl", "", "StopIteration"),
        ("owner.py", "", "script"),
    ],
)
def test_data_set_that_cannot_be_loaded_is_said_in_one_line(hub: Hub, name: str, text: str, message: str) -> None:
    file = hub.folder / (name if name != "owner.py" else f"{hub.folder.name}.py")
    file.write_text(text)
    with pytest.raises(InputError, match=rf"hub:owner/name, .* cannot be read from the hub \(.*{message}") as caught:
        _opened()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("revision", ["", f"@{COMMIT}"])
def test_hub_that_is_not_asked_is_said_in_one_line(revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"collect\.source: hub:owner/name.* cannot be read from the hub") as caught:
        _opened(f"hub:owner/name{revision}")
    assert "\n" not in str(caught.value) and "HF_HUB_OFFLINE=0" in str(caught.value)
