"""Building functions and layers for AWS without containers and without the runtime's own interpreter."""
