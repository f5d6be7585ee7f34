"""The data plane with real functions; what tests share ends with this folder."""
