# The two commands of the README, and the developer's daily ones.
SHELL := /bin/bash
SWIFT_FLAGS ?=
export REGPROC_TEST_VENV ?= $(CURDIR)/.build/venv

.PHONY: help check run test test-broker test-chaos test-containers test-compose build image image-test setup bench fuzz generate format lint clean

help:               ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */  \1\t/' | expand -t 20

check: setup        ## the inner loop: format, imports, build, and all tests that need neither a process nor a database
	swift format lint -r -p --strict Sources Tests examples Package.swift
	scripts/check-imports
	scripts/test --quick

run: setup          ## installs what is missing, builds, and sends 20 sample births through the whole pipeline
	swift build -c release --product regproc $(SWIFT_FLAGS)
	.build/release/regproc demo

test: setup         ## every test that needs no outside help; make test ONLY='PacketTests' runs what the pattern names
ifdef ONLY
	scripts/test --filter '$(ONLY)'
else
	@scripts/setup libfaketime || echo "test: no libfaketime to be had: the tests with a database whose clock is off are skipped" >&2
	@scripts/setup clamav-daemon || echo "test: no ClamAV to be had: the tests with a real scanner are skipped" >&2
	scripts/test
endif

test-broker: setup  ## what uses a Kafka broker, on one that is for tests alone: make test-broker BROKER=host:port
	scripts/test --broker "$(BROKER)"

test-chaos: setup   ## more births through what goes wrong around a pipeline: make test-chaos BIRTHS=300
	REGPROC_TEST_BIRTHS="$(BIRTHS)" scripts/test --filter ChaosTests

test-containers: setup  ## one container for each stage, killed, scaled and updated while births flow; says what it skips
	scripts/test-containers

test-compose: setup ## deploy/compose as it is, with Docker and with podman-compose, and 20 births sent to it; says what it skips
	scripts/test-venv
	@scripts/setup podman buildah runc conmon catatonit mmdebstrap iptables iproute2 || echo "test-compose: what is missing is skipped" >&2
	scripts/test-compose

build: setup
	swift build $(SWIFT_FLAGS)

image: setup        ## the container image, with its SBOM in .build/image: make image TAG=registry/regproc:1
	deploy/image/build $(if $(TAG),--tag "$(TAG)")

image-test: setup   ## builds the image and proves what docs/containers.md says of it
	deploy/image/test

setup:              ## the Debian packages that are missing (as root, or through sudo)
	@scripts/setup

bench: setup        ## the yardsticks of docs/performance.md
	scripts/bench

fuzz: setup         ## each reader of bytes from outside for N seconds, guided by coverage: make fuzz SECONDS_EACH=60
	scripts/fuzz

generate: build     ## what the program itself says: docs/reference, parts of other pages, and the trees under deploy/
	scripts/generate

format:
	swift format -i -r -p Sources Tests examples Package.swift

lint:
	swift format lint -r -p --strict Sources Tests examples Package.swift
	scripts/check-imports

clean:
	rm -rf .build regproc-data
