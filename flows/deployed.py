"""The flows as Prefect runs them: what the entrypoints of prefect.yaml name."""

from __future__ import annotations

from flows.launch.registry import find_flow

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
