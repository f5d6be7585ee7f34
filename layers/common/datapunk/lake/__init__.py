"""The data lake: typed datasets on PostgreSQL."""
