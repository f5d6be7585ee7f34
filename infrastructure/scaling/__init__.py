"""What to keep warm tomorrow: a forecast of concurrency, and the scheduled actions that follow from it."""
