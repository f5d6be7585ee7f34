"""Months of rows moved from tables to storage, and back."""
