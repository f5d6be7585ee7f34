"""Functions that users register: named queries with parameters, called as PostgREST's are."""
