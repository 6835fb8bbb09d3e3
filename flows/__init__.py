"""What runs, in which order. A flow asks the model hub for nothing unless HF_HUB_OFFLINE is set to 0."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before anything imports the hub's client, which reads it then
