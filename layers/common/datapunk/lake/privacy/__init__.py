"""Personal data in datasets: encrypted columns, masks by role, erasure of a person, recognisers."""
