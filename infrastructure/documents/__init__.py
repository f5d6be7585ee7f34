"""Documents generated from code: the OpenAPI description and the tables of docs/reference."""
