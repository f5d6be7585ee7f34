-- name: lacking
SELECT parent.relname AS table_name, attribute.attname AS event_time,
       format_type(attribute.atttypid, attribute.atttypmod) AS kind, month
FROM pg_partitioned_table AS partitioned
JOIN pg_class AS parent ON parent.oid = partitioned.partrelid
JOIN pg_attribute AS attribute
  ON attribute.attrelid = parent.oid AND attribute.attnum = partitioned.partattrs[0]
CROSS JOIN unnest(%(months)s::text[]) AS month
WHERE parent.relnamespace = 'lake_data'::regnamespace
  AND NOT EXISTS (
      SELECT FROM pg_inherits AS inheritance JOIN pg_class AS child ON child.oid = inheritance.inhrelid
      WHERE inheritance.inhparent = parent.oid AND child.relname = parent.relname || '_' || month
  )
ORDER BY month, parent.relname

-- name: unvalidated
SELECT relation.relname AS table_name, rule.conname AS name
FROM pg_constraint AS rule JOIN pg_class AS relation ON relation.oid = rule.conrelid
WHERE relation.relnamespace = 'lake_data'::regnamespace AND NOT relation.relispartition
  AND rule.contype = 'c' AND NOT rule.convalidated
ORDER BY relation.relname, rule.conname

-- name: references
SELECT source.relname AS table_name,
       ARRAY(SELECT attname::text FROM unnest(rule.conkey) WITH ORDINALITY AS part (number, place)
             JOIN pg_attribute ON attrelid = rule.conrelid AND attnum = number ORDER BY place) AS columns,
       ARRAY(SELECT attname::text FROM unnest(rule.confkey) WITH ORDINALITY AS part (number, place)
             JOIN pg_attribute ON attrelid = rule.confrelid AND attnum = number ORDER BY place) AS named
FROM pg_constraint AS rule JOIN pg_class AS source ON source.oid = rule.conrelid
WHERE rule.contype = 'f' AND rule.conparentid = 0
  AND rule.confrelid = format('lake_data.%%I', %(table)s::text)::regclass
ORDER BY source.relname, rule.conname
