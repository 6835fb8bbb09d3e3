# Images that follow the locks. `docker build .` makes the one for the CPU; --target gpu or --target cpu-vllm the others.
# An image runs `latent` in /work: mount a folder there, and the store, the tracking and all caches lie in it.
ARG PYTHON=3.11
FROM python:${PYTHON}-slim-bookworm AS base
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

FROM base AS wheel
RUN pip install "setuptools>=77"
COPY pyproject.toml README.md LICENSE ./
COPY latent_core latent_core
COPY tasks tasks
COPY flows flows
COPY deployments deployments
RUN pip wheel --no-deps --no-build-isolation --wheel-dir wheels .

# The account has no rights, and a name that libraries find whatever --user says.
FROM base AS runtime
ENV HF_HUB_OFFLINE=1 OMP_WAIT_POLICY=PASSIVE TOKENIZERS_PARALLELISM=false DO_NOT_TRACK=true \
    PREFECT_SERVER_ANALYTICS_ENABLED=false MLFLOW_DISABLE_TELEMETRY=true HOME=/work USER=latent
RUN useradd --uid 1000 --home-dir /work --create-home latent && chmod 777 /work
COPY requirements requirements
COPY bench bench
ENTRYPOINT ["latent"]
CMD ["--help"]

# For kernels that vLLM and Triton build when they first run.
FROM runtime AS compiler
RUN apt-get update && apt-get install --yes --no-install-recommends g++ libnuma1 && rm -rf /var/lib/apt/lists/*

# torch's own packages bring CUDA.
FROM compiler AS gpu
RUN pip install --no-deps -r requirements/gpu.lock
ARG TORCH_INDEX=
RUN pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch==2.13.0
COPY --from=wheel /src/wheels wheels
RUN pip install --no-deps wheels/*.whl
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER latent
WORKDIR /work

FROM compiler AS cpu-vllm
RUN pip install --no-deps -r requirements/cpu-vllm.lock
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch==2.13.0+cpu
COPY --from=wheel /src/wheels wheels
RUN pip install --no-deps wheels/*.whl
USER latent
WORKDIR /work

FROM runtime AS cpu
RUN pip install --no-deps -r requirements/cpu.lock
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch==2.13.0
COPY --from=wheel /src/wheels wheels
RUN pip install --no-deps wheels/*.whl
USER latent
WORKDIR /work
