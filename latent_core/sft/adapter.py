"""Making a saved LoRA adapter the same, byte for byte, for the same training: PEFT writes paths and unordered sets."""

from __future__ import annotations

import json
from pathlib import Path


def settle_adapter(directory: Path) -> None:
    """Rewrite what `save_pretrained` left in `directory` without what differs from run to run.

    The base model's path goes, here and in the model card: it names a folder of this machine, and the artifact's
    parents say which model it was; `PeftModel.from_pretrained(base, directory)` does not need it. Modules are sorted:
    PEFT keeps them in a set, whose order follows Python's hash seed.
    """
    path = directory / "adapter_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["base_model_name_or_path"] = None
    if isinstance(settings["target_modules"], list):
        settings["target_modules"].sort()
    path.write_text(json.dumps(settings, indent=2, sort_keys=True), encoding="utf-8")
    (directory / "README.md").unlink(missing_ok=True)
