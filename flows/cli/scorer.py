"""What `latent scorer` does: find the model as `latent eval` does, and serve its scores."""

from __future__ import annotations

from latent_core.config.chat import ChatConfig, Thinking
from latent_core.errors import InputError
from latent_core.reward.server import serve
from latent_core.store import ArtifactStore
from tasks.tracking.models import model_directory


def serve_scorer(model: str, store: str, thinking: str, host: str, port: int) -> None:
    """Answer until SIGTERM or Ctrl-C. Raises InputError for a model that cannot be found or cannot score."""
    if thinking not in list(Thinking):
        raise InputError(f"thinking: is {thinking!r}; choose one of {', '.join(Thinking)}")
    chat = ChatConfig(thinking=Thinking(thinking))
    serve(model_directory(model, ArtifactStore(store), chat=chat), model, host, port)
