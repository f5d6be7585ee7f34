"""PostgREST's protocol over datasets: its words, its statuses and its errors."""
