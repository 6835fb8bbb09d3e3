"""The flows as Prefect runs them: what the entrypoints of prefect.yaml name, with all parameters and in short form."""

from __future__ import annotations

from flows.launch.registry import find_flow
from flows.launch.short_form import short_flow

tokenskip_math = find_flow("tokenskip-math").flow()
direct = find_flow("direct").flow()
concise = find_flow("concise").flow()
grpo = find_flow("grpo").flow()
rl = find_flow("rl").flow()
length = find_flow("length").flow()
reevaluate = find_flow("reevaluate").flow()
mini = find_flow("mini").flow()
compressor = find_flow("compressor").flow()
label_kinds = find_flow("label-kinds").flow()
compare = find_flow("compare").flow()

tokenskip_math_short = short_flow("tokenskip-math")
direct_short = short_flow("direct")
concise_short = short_flow("concise")
grpo_short = short_flow("grpo")
rl_short = short_flow("rl")
length_short = short_flow("length")
reevaluate_short = short_flow("reevaluate")
compressor_short = short_flow("compressor")
label_kinds_short = short_flow("label-kinds")
compare_short = short_flow("compare")
