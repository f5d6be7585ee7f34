# Datapunk: every target brings the environment it needs; nothing is installed by hand.
.DEFAULT_GOAL := help
.PHONY: help up down status logs demo token test check lint build bench contracts openapi policies schema gateway deploy

PYTHON ?= python3
ENV ?= dev
BOOTSTRAP := $(PYTHON) infrastructure/local/bootstrap.py
RUN := .venv/bin/python
SAM := .datapunk/venvs/sam/bin/sam
export DOCKER
ifdef POSTGIS
export DATAPUNK_POSTGIS := $(POSTGIS)
endif

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## Start the whole platform here and load the demo the first time (DOCKER=1: services in Docker)
	@$(BOOTSTRAP) --group local
	@$(RUN) -m infrastructure.local up

down: ## Stop the platform; its data stays in .datapunk/
	@$(BOOTSTRAP) --group local
	@$(RUN) -m infrastructure.local down

status: ## Say what runs, where, and how it is
	@$(BOOTSTRAP) --group local
	@$(RUN) -m infrastructure.local status

logs: ## Show logs (NAME=lake: only of that service or function, FOLLOW=1: as they are written)
	@$(BOOTSTRAP) --group local
	@$(RUN) -m infrastructure.local logs $(if $(NAME),--name $(NAME)) $(if $(FOLLOW),--follow)

demo: ## Load real data, query it, wait for its event: the platform end to end
	@$(BOOTSTRAP) --group local
	@$(RUN) -m infrastructure.local demo

# Every shell has a USER of its own; only the one given to make is meant.
token: ## Print a bearer token for the demo user (USER=admin SCOPES="read write admin": for another)
	@$(BOOTSTRAP) --group local
	@$(RUN) -m infrastructure.local token $(if $(filter command line,$(origin USER)),--user "$(USER)") $(if $(SCOPES),--scope "$(SCOPES)")

# All tests share the cores, each process with services of its own; for some, one start is faster than two.
# Folder after folder: platforms that only wait cost as much as tests do, so they end with theirs.
test: ARGS ?= --numprocesses=auto --dist=loadfile --no-loadscope-reorder
test: ## Run all tests against throw-away services (ARGS="-k lake": only some)
	@$(BOOTSTRAP) --group dev --tools sam
	@$(RUN) -m infrastructure.local install
	@$(RUN) -m infrastructure.local.javascript
	@$(RUN) -m pytest $(ARGS)

check: ## Look at style, types, templates and generated documents; change nothing
	@$(BOOTSTRAP) --group dev --tools sam
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@$(RUN) -m infrastructure.documents --check
	@$(RUN) -m infrastructure.policies --check
	@$(RUN) -m infrastructure.contracts --check
	@.venv/bin/cfn-lint template.yaml 'infrastructure/*.yaml'
	@SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 $(SAM) validate --lint

lint: ## Mend style where a tool can
	@$(BOOTSTRAP) --group dev
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

build: ## Build functions and layers for AWS, without containers, and check their sizes
	@$(BOOTSTRAP) --group dev --tools sam
	@$(RUN) -m infrastructure.policies --check
	@SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 $(SAM) build
	@$(RUN) -m infrastructure.build.sizes

bench: ## Run every benchmark (NAME=ingest: one of them)
	@$(BOOTSTRAP) --group dev --tools peers
	@$(RUN) -m infrastructure.local install
	@for file in $(if $(NAME),benchmarks/$(NAME).py,$(sort $(wildcard benchmarks/[a-z]*.py))); do \
		echo "== $$file"; $(RUN) $$file || exit 1; done

contracts: ## Write the code of the contracts in events/protos
	@$(BOOTSTRAP) --group dev
	@$(RUN) -m infrastructure.contracts

openapi: ## Write the OpenAPI document and the generated parts of docs/reference
	@$(BOOTSTRAP) --group dev
	@$(RUN) -m infrastructure.documents

policies: ## Compile the policy of infrastructure/policies, through all its gates, into the common layer
	@$(BOOTSTRAP) --group dev
	@$(RUN) -m infrastructure.policies

schema: ## Write infrastructure/schema.sql from the migrations
	@$(BOOTSTRAP) --group dev
	@$(RUN) -m infrastructure.local schema

gateway: ## Print the routes as a configuration of NGINX or Kong (FORMAT=nginx GATEWAYS="host:port ...")
	@$(BOOTSTRAP) --group dev >&2
	@$(RUN) -m infrastructure.gateways $(or $(FORMAT),nginx) $(foreach place,$(GATEWAYS),--gateway $(place))

deploy: build ## Deploy to AWS (ENV=dev or prod)
	@SAM_CLI_TELEMETRY=0 $(SAM) deploy --config-env $(ENV)
