# make demo    the main job on this machine; needs only Python 3.11
# make test    lint and every test; on Debian and Ubuntu it installs what is missing and says so;
#              IMAGES=1: the plain Docker image too, which takes root
# make test-all  the same, then the Docker images, and test-roots; needs root
# make test-roots  what asks Laravel on other Laravels and PHPs; ROOTS=forky for one, QUICK=1: what CI runs; needs root
# make test-lowest  the tests, with the lowest version of each dependency that pyproject.toml allows
# make constraints  constraints.txt anew: the newest versions that it allows
# make lint    ruff, mypy, import-linter
# make format  ruff format
# make screenshots  docs/images, taken of the demo in Chromium
# make wheels  laravel-bridge, and its parts phpeval and sockets, as wheels in dist
# make docs    the documentation as a site, in build/site
# make bench   bridge beside a server in C and its goals, written to docs/benchmarks.md; QUICK=1 for a short
#              run, ROUNDS=6 for more rounds; REVERB=… the folder of a Laravel app with Reverb; BEFORE=… another
#              checkout with its .venv; BENCH=queue_work another measurement
# make chaos   faults on purpose, docs/chaos.md: ROW=F-06, or several; none: lists them; FLAGS="--store redis"
# make oracle  generated PHP programs, by PHP and natively: COUNT=20000; SEED=…, PHP=… for another PHP, FLAGS=…
# make fuzz    mutated input: TARGET=reader or source; SECONDS=600; installs atheris

PYTHON ?= python3
BIN := .venv/bin
NODE_MODULES := fixtures/browser/node_modules/.package-lock.json
ROOTS ?= trixie forky
BENCH ?=
REVERB ?=
BEFORE ?=
QUICK ?=
ROUNDS ?=
COUNT ?= 2000
WORKERS ?= 6

# What asks PHP and Laravel, and holds for every release of them.
ON_ROOTS := tests/oracle tests/conformance/test_differential.py tests/jobs/resolve/test_compare.py \
	tests/jobs/resolve/test_php.py tests/end_to_end/test_other_jobs.py \
	tests/phpeval/laravel/support/test_releases.py

# Of that what differs most from release to release, without what starts a bridge for each test.
ON_ROOTS_QUICK := $(filter-out %/test_other_jobs.py,$(ON_ROOTS)) \
	tests/end_to_end/test_other_jobs.py::test_every_kind_of_job_ends_as_under_queue_work

# Whole files to each worker, in the order of tests/conftest.py.
PYTEST := pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# Compiled modules are kept, whatever the environment says: each of some hundred bridges starts sooner.
unexport PYTHONDONTWRITEBYTECODE

PLAIN_IMAGE := -o "python_files=test_*.py image_checks.py" \
	--deselect "tests/end_to_end/image_checks.py::test_an_image_is_built_serves_an_app_and_stops_on_term[php]"

.PHONY: demo test test-all test-roots lint format docs screenshots wheels test-lowest constraints bench chaos oracle fuzz packages

demo: .venv/.installed
	$(BIN)/bridge demo

test: packages lint $(NODE_MODULES)
	$(BIN)/$(PYTEST) $(if $(IMAGES),$(PLAIN_IMAGE))

test-all: test
	$(BIN)/pytest -n 0 tests/end_to_end/image_checks.py
	$(MAKE) test-roots

test-roots: packages .venv/.installed-dev
	roots=$$(sh tests/roots.sh $(ROOTS)) && for root in $$roots; do \
		echo "with $$root/php:"; \
		PATH=$$root:$$PATH $(BIN)/$(PYTEST) $(if $(QUICK),$(ON_ROOTS_QUICK),$(ON_ROOTS)) || exit 1; \
	done

test-lowest: packages .venv/.installed-dev $(NODE_MODULES)
	$(BIN)/uv pip compile --quiet --no-header --no-annotate --upgrade --resolution lowest-direct --extra doctor \
		pyproject.toml --output-file build/lowest.txt
	$(BIN)/uv venv --quiet --clear --seed --python $(BIN)/python build/lowest
	$(BIN)/uv pip install --quiet --python build/lowest/bin/python -c build/lowest.txt -e '.[dev]'
	build/lowest/bin/$(PYTEST)

# The newest versions that pyproject.toml allows, on every Python and system; `make test` installs these.
constraints: .venv/.installed-dev
	$(BIN)/uv pip compile --quiet --universal --upgrade --no-header --no-annotate --extra dev \
		pyproject.toml --output-file constraints.txt

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/.installed-docs
	$(BIN)/python docs/settings_table.py
	$(BIN)/mkdocs build --quiet --strict

screenshots: packages .venv/.installed $(NODE_MODULES)
	$(BIN)/python docs/screenshots.py

wheels: .venv/.installed-dev
	$(BIN)/python .ci/wheels.py

bench: packages .venv/.installed-dev
	REVERB=$(REVERB) BEFORE=$(BEFORE) $(BIN)/python -m tests.bench$(if $(BENCH),.$(BENCH)) $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS))

chaos: packages .venv/.installed-dev
	$(BIN)/python -m tests.chaos$(if $(filter kill,$(ROW)),.kill, $(ROW)) $(FLAGS)

oracle: packages .venv/.installed-dev
	$(BIN)/python -m tests.oracle --count $(COUNT) $(if $(SEED),--seed $(SEED)) $(if $(PHP),--php $(PHP)) $(FLAGS)

fuzz: .venv/.installed-dev
	$(if $(TARGET),,$(error make fuzz: name a target, TARGET=reader or TARGET=source))
	$(BIN)/pip install --quiet --disable-pip-version-check atheris
	$(BIN)/python -m tests.fuzz $(TARGET) $(SECONDS)

# The servers, PHP, Laravel, Node and Chromium of the tests.
packages:
	@sh tests/install.sh

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --use-pep517 -e .
	touch $@

.venv/.installed-dev: pyproject.toml constraints.txt | packages .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --use-pep517 -c constraints.txt -e '.[dev]'
	touch $@

.venv/.installed-docs: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --use-pep517 -e '.[docs]'
	touch $@

$(NODE_MODULES): fixtures/browser/package-lock.json | packages
	cd fixtures/browser && npm ci --ignore-scripts --no-audit --no-fund
	touch $@
