# Thin on purpose: what a target does is in scripts/ and tests/. Every target does its own set-up and can run twice.
SHELL := /bin/bash
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help setup root test test-long fuzz torture soak check demo bench test-kernels test-boot test-cluster test-image test-install wheel clean

PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Tests start hundreds of processes: without compiled files each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE
# For pytest: make test TESTS=tests/selector ARGS='-x -k escape'
TESTS ?= tests
ARGS ?=
# What other targets run. A part that is asked for by name is run as a whole.
ELSEWHERE := --ignore=tests/kernels --ignore=tests/install --ignore=tests/cluster --ignore=tests/image/test_image.py
QUICK := $(ELSEWHERE) $(if $(filter tests,$(TESTS)),-m "not long")
# For the measurements: full takes about ten minutes, quick two.
BENCH ?= full

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## system packages (apt), .venv with the package built into it
	@scripts/setup

root:
	@[ "$$(id -u)" -eq 0 ] || { echo "error: '$(MAKECMDGOALS)' loads BPF programs and makes network namespaces" >&2; \
		echo "hint: run make as root: sudo make $(MAKECMDGOALS)" >&2; exit 1; }

test: root setup ## every test but those of the other test-targets; PYXDP_REQUIRE_BPF=1 makes skips failures
	@$(PYTEST) -n 3 $(QUICK) $(ARGS) $(TESTS)

test-long: root setup ## tests that take many seconds each: deaths at every step, growth, ten thousand rules
	@$(PYTEST) -n 3 $(ELSEWHERE) -m long $(ARGS) tests

fuzz: root setup ## random policies and packets, evaluator against programs, 10 million; FUZZ_SEED, FUZZ_SECONDS
	@$(PYTHON) -m tests.fuzz

torture: root setup ## 10,000 policy switches and changes of members in a flood of frames; TORTURE_SWITCHES, TORTURE_CHANGES
	@$(PYTHON) -m tests.torture

soak: root setup ## a real agent under changes, kills, upgrades, drift and a flood, 20 minutes; SOAK_SECONDS, SOAK_SEED
	@$(PYTHON) -m tests.soak

check: setup ## linters, types, import rules, C format
	@scripts/check

demo: root setup ## policy, XDP and conntrack around a real Redis, measured side by side
	@$(PYTHON) -m demo

bench: root setup ## what packets and changes cost, and what other tools cost; BENCH=quick, ARGS=--page
	@scripts/system-packages bench || echo "bench: goes on without the tools that are missing" >&2
	@$(PYTHON) -m bench $(BENCH) $(ARGS)

test-kernels: root setup ## the wheel's object on other kernels, in QEMU (cache: ~/.cache/pyxdp)
	@scripts/system-packages kernels
	@$(PYTEST) --ignore=tests/kernels/test_boot.py $(ARGS) tests/kernels

test-boot: root setup ## a machine with systemd that boots with its policy, in QEMU (cache: ~/.cache/pyxdp)
	@scripts/system-packages kernels
	@$(PYTEST) $(ARGS) tests/kernels/test_boot.py

test-cluster: root setup ## against a real Kubernetes API server, built at the first time (cache: ~/.cache/pyxdp)
	@scripts/system-packages cluster
	@tests/cluster/build-apiserver
	@$(PYTEST) $(ARGS) tests/cluster

test-image: root setup ## the agent's image, built and run (cache: ~/.cache/pyxdp)
	@scripts/system-packages image
	@$(PYTEST) $(ARGS) tests/image

test-install: root setup ## the README's commands in fresh chroots; SUITES="bookworm trixie"
	@scripts/system-packages install
	@tests/install/run $(SUITES)

wheel: setup ## dist/*.whl with the BPF object inside
	@scripts/wheel dist

clean: ## remove everything that was built; .venv too
	@scripts/clean
