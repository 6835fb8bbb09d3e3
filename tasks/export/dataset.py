"""The tables of an artifact, such as prepared examples or completions, as a folder that `datasets` loads."""

from __future__ import annotations

from pathlib import Path

from latent_core.errors import InputError
from latent_core.export.dataset_card import DatasetCard, TableFile
from latent_core.export.folder import new_folder
from latent_core.export.rows import TableFormat, Written, write_rows
from latent_core.store import Artifact
from tasks.export.model import CARD, Exported, counted
from tasks.export.provenance import Provenance

_WHAT = {
    "prepare": "Training examples: questions with their reasoning at several ratios.",
    "collect": "Chains of thought that a model wrote, graded.",
    "evaluate": "What a model answered in an evaluation, graded.",
    "compress": "Chains of thought, compressed to several ratios.",
}


def export_dataset(
    artifact: Artifact, target: Path, provenance: Provenance, kind: TableFormat, *, licence: str | None = None
) -> Exported:
    """Write all tables to the new folder `target`, with a card; rows are streamed.

    Raises InputError for an artifact without a table, and a folder that is not empty.
    """
    tables = artifact.tables()
    if not tables:
        raise InputError(f"WHAT: {artifact.ref} holds neither a model nor a table; `latent artifacts show` lists it")
    content = artifact.manifest.content
    with new_folder(target) as folder:
        files = [_written(artifact, path, folder, kind) for path in tables]
        card = DatasetCard(
            target.absolute().name,
            f"{_WHAT.get(content.stage, f'Tables of the stage `{content.stage}`.')} Artifact `{artifact.ref}`.",
            files,
            content.accounting,
            content.identity,
            provenance.lineage(artifact),
            licence,
        )
        (folder / CARD).write_text(card.text(), encoding="utf-8")
        return counted(folder)


def _written(artifact: Artifact, path: str, folder: Path, kind: TableFormat) -> TableFile:
    name = Path(path).stem
    file = f"data/{name}-00000-of-00001.parquet" if kind is TableFormat.PARQUET else f"{name}.{kind}"
    (folder / file).parent.mkdir(exist_ok=True)
    schema, counts = artifact.schema(path), Written()
    with (folder / file).open("wb") as out:
        write_rows(counts.counted(artifact.batches(path)), schema, kind, out, counts)
    return TableFile(name, file, schema, counts.rows, counts.not_finite)
