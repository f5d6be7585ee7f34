"""Events: received, stored and listed."""
