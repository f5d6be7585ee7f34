"""Datapunk's common layer: what every function of the platform shares."""

__version__ = "0.1.0"
