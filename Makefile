PYTHON ?= python3
DOCS ?=
ENCODERS ?= shipped
STORES ?= postgres

VENV := .venv
BIN := $(VENV)/bin
KIKU := $(BIN)/kiku
RUN := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
# Modules are compiled when they are first imported, which is most of them never.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile
# PyTorch's own index has the CPU build; the default wheel for Linux brings 3 GB of CUDA.
TORCH := torch==2.13.0
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu

.PHONY: run install test check eval bench speed fuzz image lock clean

run: $(RUN)
	$(KIKU) build $(DOCS)
	$(KIKU) serve

install: $(RUN)

test: check
	$(BIN)/pytest

check: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

eval: $(RUN)
	$(KIKU) build
	$(KIKU) eval corpus/questions.jsonl

# Kiku beside other libraries, each in an environment of its own under .peers/; about two hours.
bench: $(RUN)
	TORCH_CPU_INDEX="$(TORCH_CPU_INDEX)" $(BIN)/python -m benchmarks.peers --save

speed: $(RUN)
	$(BIN)/python -m benchmarks

fuzz: $(DEV)
	FUZZ_EXAMPLES=2000 $(BIN)/pytest tests/fuzz

# ENCODERS=any adds torch, which the shipped encoder does without; STORES=milvus the client of Milvus.
image:
	docker build --build-arg ENCODERS=$(ENCODERS) --build-arg STORES=$(STORES) --build-arg TORCH_CPU_INDEX=$(TORCH_CPU_INDEX) --tag kiku .

# Writes constraints.txt anew from the newest versions that pyproject.toml allows.
lock:
	PYTHON="$(PYTHON)" TORCH="$(TORCH)" TORCH_CPU_INDEX="$(TORCH_CPU_INDEX)" .ci/lock

clean:
	rm -rf .kiku build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(RUN): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo 'Kiku needs Python 3.11 or newer, and "$(PYTHON)" is not one: try make $(MAKECMDGOALS) PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo 'Kiku needs the venv module of "$(PYTHON)": on Debian and Ubuntu, apt install python3-venv' >&2; exit 1; }
	@echo 'Installing the packages into $(VENV); this is done once and takes a minute or a few.'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --no-deps --retries 0 --timeout 5 --index-url $(TORCH_CPU_INDEX) $(TORCH) 2>/dev/null \
	  || $(PIP) --no-deps $(TORCH)
	@$(PIP) --constraint constraints.txt --editable .
	@touch $(RUN)

$(DEV): $(RUN)
	@echo 'Installing the test tools into $(VENV).'
	@$(PIP) --constraint constraints.txt --editable '.[dev]'
	@touch $(DEV)
