"""The chat template that a server renders a model's prompts with: it starts the model inside its reasoning."""

from __future__ import annotations

from collections.abc import Sequence

from latent_core.models.family import ChatFamily


def generation_template(own: str, family: ChatFamily, switches: Sequence[str] = ()) -> str:
    """`own`, with a generation prompt that ends in an open think mark, as `prompts.render_prompt` writes it.

    Unchanged for a model that does not think, whose template opens the mark itself, or that names its ratio first.
    `switches` are variables of the template: where a request sets one to false, nothing is opened.
    """
    # Jinja drops a template's last newline; what follows would keep it.
    own = own.removesuffix("\n")
    if not family.thinks or family.opens_think or family.echoes:
        return own
    asked = " and ".join(["add_generation_prompt", *(f"{name} | default(true)" for name in switches)])
    return own + f"{{% if {asked} %}}{{{{ '{family.think_start}\\n' }}}}{{% endif %}}"
