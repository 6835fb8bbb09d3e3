"""Log-probabilities of tokens over the ids that the sampler allows: one definition for training, rewards and scores."""

from latent_core.likelihood.head import Head
from latent_core.likelihood.own_logits import require_own_logits
from latent_core.likelihood.phases import phases_after
from latent_core.likelihood.support import Support
from latent_core.likelihood.token_logprobs import TokenLogProbs, token_logprobs

__all__ = ["Head", "Support", "TokenLogProbs", "phases_after", "require_own_logits", "token_logprobs"]
