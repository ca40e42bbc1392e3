PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
KIKU := $(BIN)/kiku
# PyTorch's own index has the CPU build; the default wheel for Linux brings 3 GB of CUDA.
TORCH := torch==2.13.0
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu

.PHONY: run install test check eval bench fuzz clean

run: $(STAMP)
	$(KIKU) build
	$(KIKU) serve --port 8000

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -c "import torch" 2>/dev/null \
	  || $(BIN)/pip install --quiet --no-deps --retries 0 --timeout 5 --index-url $(TORCH_CPU_INDEX) $(TORCH) 2>/dev/null \
	  || $(BIN)/pip install --quiet --no-deps $(TORCH)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

test: check
	$(BIN)/pytest

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

eval: $(STAMP)
	$(KIKU) build
	$(KIKU) eval corpus/questions.jsonl

bench: $(STAMP)
	$(BIN)/python -m benchmarks

fuzz: $(STAMP)
	$(BIN)/pytest tests/fuzz

clean:
	rm -rf .kiku build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
