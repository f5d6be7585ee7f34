"""Quality of what a dataset holds: rules that are measured over its rows, and what came of it."""
