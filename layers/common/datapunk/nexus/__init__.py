"""The gateway's own domain."""
