-- name: put
INSERT INTO lake.quality_rules (dataset_id, dataset, rules, on_change)
VALUES (%(dataset_id)s, %(dataset)s, %(rules)s, %(on_change)s)
ON CONFLICT (dataset_id) DO UPDATE
SET rules = excluded.rules, on_change = excluded.on_change, updated_by = platform.current_principal(), updated_at = clock_timestamp()

-- name: rules
SELECT rules FROM lake.quality_rules WHERE dataset_id = %(dataset_id)s

-- name: hold
SELECT dataset_id FROM lake.quality_rules WHERE dataset_id = %(dataset_id)s FOR UPDATE

-- name: due
SELECT tenant, dataset, dataset_id
FROM lake.quality_rules
WHERE rules <> '[]'
ORDER BY measured_at NULLS FIRST, dataset_id

-- name: taken_up
UPDATE lake.quality_rules SET measured_at = clock_timestamp() WHERE dataset_id = %(dataset_id)s

-- name: on_change
SELECT on_change FROM lake.quality_rules WHERE dataset_id = %(dataset_id)s

-- name: take_up_changed
UPDATE lake.quality_rules SET measured_at = clock_timestamp()
WHERE dataset_id = %(dataset_id)s AND on_change AND rules <> '[]'
  AND (measured_at IS NULL OR measured_at < transaction_timestamp())

-- name: keep
INSERT INTO lake.quality_results (dataset_id, run, version, check_type, score, rows, rules)
VALUES (%(dataset_id)s, %(run)s, %(version)s, %(check_type)s, %(score)s, %(rows)s, %(rules)s)
RETURNING id, run, version, check_type, score, rows, rules, measured_by, measured_at

-- name: newest
SELECT DISTINCT ON (check_type)
       id, run, version, check_type, score, rows, rules, measured_by, measured_at
FROM lake.quality_results
WHERE dataset_id = %(dataset_id)s
ORDER BY check_type, measured_at DESC

-- name: history
SELECT id, run, version, check_type, score, rows, rules, measured_by, measured_at
FROM lake.quality_results
WHERE dataset_id = %(dataset_id)s AND (measured_at, id) < (%(before)s, %(before_id)s)
  AND (%(check_type)s::text IS NULL OR check_type = %(check_type)s)
ORDER BY measured_at DESC, id DESC
LIMIT %(limit)s

-- name: expire
DELETE FROM lake.quality_results WHERE measured_at < clock_timestamp() - interval '90 days'

-- name: stored_columns
SELECT attribute.attname AS name, format_type(attribute.atttypid, NULL) AS type,
       attribute.atttypid = to_regtype(declared.type) AS same,
       NOT attribute.attnotnull AS nullable
FROM pg_attribute AS attribute
LEFT JOIN unnest(%(names)s::text[], %(types)s::text[]) AS declared (name, type)
  ON declared.name = attribute.attname
WHERE attribute.attrelid = format('lake_data.%%I', %(table)s::text)::regclass
  AND attribute.attnum > 0 AND NOT attribute.attisdropped
ORDER BY attribute.attnum

-- name: refused_shapes
SELECT error ->> 'field' AS field, error ->> 'code' AS rule, count(*) AS rows, max(quarantined_at) AS last_at
FROM lake.quarantine CROSS JOIN jsonb_array_elements(errors) AS error
WHERE dataset_id = %(dataset_id)s
  AND (error ->> 'code' IN ('extra_forbidden', 'missing', 'width')
       OR error ->> 'code' LIKE '%%\_type' OR error ->> 'code' LIKE '%%\_parsing')
GROUP BY 1, 2
ORDER BY rows DESC, field, rule
LIMIT %(limit)s
