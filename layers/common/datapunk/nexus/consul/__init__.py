"""Consul's HTTP API, the part of it that services register and find each other with."""
