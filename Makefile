# The commands of developers and of CI. They need make and Python 3.10 or newer; everything else goes into .venv and
# .tox.

PYTHON ?= python3
PYTHONS ?= 3.10 3.11 3.12 3.13 3.14
# Arguments for pytest: make test ARGS='-k spool'
ARGS ?=
# UV=0: pip and virtualenv instead of uv. They take half a minute more per Python, but read an index from pip.conf.
UV ?= 1

comma := ,
space := $() $()
VENV := .venv
PYENV := $(if $(PYENV_ROOT),$(PYENV_ROOT),$(HOME)/.pyenv)
SOURCES := pyproject.toml $(wildcard README.md) $(shell find src sql -type f ! -name '*.py[co]' 2>/dev/null)

ifeq ($(UV),0)
TOOLS := tox 'pip>=25.1' # 25.1 knows dependency groups
INSTALL := $(VENV)/bin/python -m pip install -q --disable-pip-version-check
else
TOOLS := tox tox-uv
INSTALL := $(VENV)/bin/uv pip install -q --python $(VENV)/bin/python --reinstall-package audit-handler
endif

# Only Pythons that are already installed are used: a missing one is reported, not downloaded.
export UV_PYTHON_DOWNLOADS := never
# Do not install into a .venv or conda environment that happens to be active.
unexport VIRTUAL_ENV CONDA_PREFIX PYTHONPATH PYTHONHOME

# A Python that is named (make test PYTHONS=3.12) must be installed; of the default list, one is enough.
SKIP_MISSING := $(if $(filter file,$(origin PYTHONS)),true,false)

define REPORT
import json, sys
environments = json.load(open(".tox/result.json"))["testenvs"]
pythons = {f"3.{name[3:]}": env for name, env in sorted(environments.items()) if name.startswith("py3")}
ran = [version for version, env in pythons.items() if env.get("test")]
missing = [version for version, env in pythons.items() if env.get("result", {}).get("skipped")]
print("Python versions tested:", *ran or ["none"], "- not found on this machine:", *missing or ["none"])
sys.exit(0 if ran else "No test was run.")
endef
export REPORT

# pyenv hides its Pythons behind shims that work only for the active version. Add the newest release of each wanted
# version to the end of PATH: there tox finds python3.X for every active version of pyenv.
FIND_PYTHONS = path="$$PATH"; \
	for version in $(PYTHONS); do \
	    newest=$$(ls '$(PYENV)/versions' 2>/dev/null | grep -E "^$$version\.[0-9]+$$" | sort -t. -k3,3n | tail -n 1); \
	    if [ -n "$$newest" ]; then path="$$path:$(PYENV)/versions/$$newest/bin"; fi; \
	done

.DEFAULT_GOAL := help
.PHONY: help test lint format coverage lowest faults fuzz container soak demo bench redaction docs clean

help:
	@echo 'make test      lint, and the tests on each Python of: $(PYTHONS)  (PYTHONS=3.12 for one, ARGS=... for pytest),'
	@echo '               and once more without the extension'
	@echo 'make demo      install the demo and run it'
	@echo 'make lint      ruff, import-linter and mypy'
	@echo 'make format    let ruff sort, fix and format'
	@echo 'make coverage  branch coverage on one Python, and its threshold'
	@echo 'make lowest    the tests with the lowest allowed version of each dependency'
	@echo 'make docs      build the documentation site into site/, and check its links'
	@echo 'make faults    kill applications 1,000 times and servers 100 times, cause every other fault, compare with'
	@echo '               other libraries, write docs/RELIABILITY.md: 30 minutes  (ARGS="-k fork" for some faults)'
	@echo 'make container make the image for the tests of two shards in Docker; a Docker must run (DOCKER_HOST)'
	@echo 'make fuzz      a minute of random records against the extension, with the sanitizers of the compiler'
	@echo '               (ARGS="--seconds 600 --seed 7")'
	@echo 'make soak      a minute of random faults against applications and server  (ARGS="--seconds 600 --seed 7")'
	@echo 'make bench     compare the cost with other libraries, and write docs/PERFORMANCE.md: 11 minutes'
	@echo '               (ARGS="--run start_up" for one part, ARGS="--against REVISION" to compare with a git revision)'
	@echo 'make redaction measure what redaction hides and keeps, beside other libraries; write docs/REDACTION.md'
	@echo '               (EVENTS=folder: also redact the public audit events of the checkouts in that folder)'
	@echo 'make clean     remove the files that these commands made'

test: $(VENV)/.tools
	@$(FIND_PYTHONS); \
	for version in $(PYTHONS); do \
	    if PATH="$$path" "python$$version" -c '' 2>/dev/null; then AUDIT_TEST_ONCE_ON=$$version; fi; \
	done; \
	export AUDIT_TEST_ONCE_ON; \
	mkdir -p .tox && rm -f .tox/result.json; \
	PATH="$$path" $(VENV)/bin/tox run --result-json .tox/result.json --skip-missing-interpreters $(SKIP_MISSING) \
	    -e lint,$(subst $(space),$(comma),$(subst .,,$(PYTHONS:%=py%))),pure -- $(ARGS); \
	status=$$?; \
	if [ -f .tox/result.json ]; then $(VENV)/bin/python -c "$$REPORT" || status=1; fi; \
	exit $$status

# Checkouts with public audit events, for make redaction.
EVENTS ?=
redaction: override ARGS += $(if $(EVENTS),--events '$(EVENTS)')

lint format coverage lowest faults fuzz container soak bench redaction docs: $(VENV)/.tools
	@$(FIND_PYTHONS); \
	PATH="$$path" $(VENV)/bin/tox run -q -e $@ -- $(ARGS)

demo: $(VENV)/.demo
	@$(VENV)/bin/python examples/demo.py

clean:
	rm -rf $(VENV) .tox dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* htmlcov

$(VENV)/.tools: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("%s is Python %d.%d; name a newer one: make PYTHON=python3.12" \
	    % ((sys.executable,) + sys.version_info[:2]) if sys.version_info < (3, 10) else 0)'
	@echo 'Preparing $(VENV) with $(TOOLS) ...'
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check --upgrade $(TOOLS)
	@touch $@

# Not editable: the demo and the benchmarks run the package as a user installs it, installed again after each change.
$(VENV)/.demo: $(VENV)/.tools $(SOURCES)
	@echo 'Installing audit-handler and the packages of the demo (about 200 MB to download the first time) ...'
	@$(INSTALL) --group demo '.[embedded,cli]'
	@touch $@
