-- name: by_schema
-- Indexes and what is stored out of line count with their table; a table that is gone meanwhile has no size.
SELECT space.nspname AS schema, sum(pg_total_relation_size(relation.oid))::bigint AS bytes
FROM pg_class AS relation
JOIN pg_namespace AS space ON space.oid = relation.relnamespace
WHERE relation.relkind IN ('r', 'm', 'S') AND relation.relpersistence = 'p'
  AND space.nspname <> 'pg_toast'
GROUP BY space.nspname
ORDER BY space.nspname
