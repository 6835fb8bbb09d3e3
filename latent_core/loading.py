"""How models are read: weights from safetensors only, and never code that came with a model.

A pickled checkpoint runs whatever its author put into it, and so does a model's own Python file.
"""

from __future__ import annotations

from typing import Any

NO_CODE: dict[str, Any] = {"trust_remote_code": False}
"""For `from_pretrained` of tokenizers and configurations."""
SAFE: dict[str, Any] = NO_CODE | {"use_safetensors": True}
"""For `from_pretrained` of models."""
