"""The layer with real services; those that tests may stop end with this folder."""
