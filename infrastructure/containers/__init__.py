"""Services that run in containers beside the functions."""
