# Two commands are all a newcomer needs: `make demo` and `make test`. Both make .venv first.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
export HF_HUB_OFFLINE := 1
export OMP_WAIT_POLICY := PASSIVE

.PHONY: demo test check lint fix plans bench answers app

demo: $(READY) ; $(BIN)/pramana demo
test: $(READY) ; $(BIN)/pytest -n 2 --dist loadgroup
check: lint test
lint: $(READY) ; $(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/pyright && $(BIN)/lint-imports
fix: $(READY) ; $(BIN)/ruff check --fix . ; $(BIN)/ruff format .
plans: $(READY) ; $(BIN)/python benchmarks/plans.py
bench: $(READY) ; for f in audit trust deadlines evaluate reading trainer overhead; do $(BIN)/python benchmarks/$$f.py || exit; done
answers: $(READY) ; for f in benchmarks/*_answers.py benchmarks/output.py; do $(BIN)/python $$f || exit; done
app: $(READY) ; $(BIN)/pramana review

$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed; set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	touch $@
