-- Vectors and their indexes (pgvector). A filtered search goes on looking until it has found enough, which
-- 0.8 was the first to do.

CREATE EXTENSION IF NOT EXISTS vector;

DO $$
BEGIN
    IF (SELECT string_to_array(extversion, '.')::int[] < '{0,8}' FROM pg_extension WHERE extname = 'vector') THEN
        RAISE EXCEPTION 'pgvector is older than 0.8'
            USING HINT = 'Update it as a superuser: ALTER EXTENSION vector UPDATE.';
    END IF;
END
$$;
