# The image of Kiku: `docker build -t kiku .`
# It serves the shipped encoder and has no torch, so it is a third of what `make install` brings.
# For any other encoder (KIKU_ENCODER): `make image ENCODERS=any`; for Milvus: `make image STORES=milvus`.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
ARG ENCODERS=shipped
ARG STORES=postgres
ARG TORCH_CPU_INDEX=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_PYTHON=/opt/kiku/bin/python
WORKDIR /src
RUN python -m venv --without-pip /opt/kiku
# What changes seldom comes first, so that a new version of Kiku rebuilds little.
COPY pyproject.toml constraints.txt ./
COPY deploy/requirements.py deploy/
# hadolint ignore=DL3013  # constraints.txt pins it
RUN set --; \
    if [ "$STORES" = milvus ]; then set -- --milvus; fi; \
    if [ "$ENCODERS" = any ]; then \
      set -- "$@" --any-encoder; \
      pip install --no-deps --constraint constraints.txt --index-url "$TORCH_CPU_INDEX" torch || exit 1; \
    fi; \
    python deploy/requirements.py "$@" > requirements.txt \
    && pip install --constraint constraints.txt --requirement requirements.txt
COPY README.md LICENSE ./
COPY bot bot
COPY index index
RUN pip install --no-deps .

FROM python:${PYTHON}-slim
# A Japanese font of 6 MB: without one, PDFs that embed none lose letters that stand alone.
# hadolint ignore=DL3008  # the newest of Debian's release
RUN apt-get update \
    && apt-get install --yes --no-install-recommends fonts-ipafont-gothic \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin kiku \
    && install --directory --owner=kiku --group=kiku /data
COPY --from=build /opt/kiku /opt/kiku
COPY corpus /app/corpus
ENV PATH=/opt/kiku/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    KIKU_HOME=/data
# kiku.toml is looked for here.
WORKDIR /app
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-c", \
  "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ.get(\"KIKU_PORT\", 8000)}/healthz', timeout=3)"]
CMD ["kiku", "serve"]
