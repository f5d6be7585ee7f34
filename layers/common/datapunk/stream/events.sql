-- name: append_event
INSERT INTO stream.events
    (id, source, type, subject, time, datacontenttype, dataschema, data, data_base64, extensions)
VALUES
    (%(id)s, %(source)s, %(type)s, %(subject)s, %(time)s, %(datacontenttype)s, %(dataschema)s,
     %(data)s, %(data_base64)s, %(extensions)s)
ON CONFLICT (tenant, source, id) DO NOTHING

-- name: newest_first
SELECT position, id, source, type, subject, time, datacontenttype, dataschema, data, data_base64,
       extensions, stored_at
FROM stream.events
WHERE tenant = platform.current_tenant()
  AND (%(type)s::text IS NULL OR type = %(type)s)
  AND (%(source)s::text IS NULL OR source = %(source)s)
  AND (%(subject)s::text IS NULL OR subject = %(subject)s)
  AND (%(after)s::bigint IS NULL OR position < %(after)s)
ORDER BY position DESC
LIMIT %(limit)s

-- name: oldest_first
SELECT position, id, source, type, subject, time, datacontenttype, dataschema, data, data_base64,
       extensions, stored_at
FROM stream.events
WHERE tenant = platform.current_tenant()
  AND (%(type)s::text IS NULL OR type = %(type)s)
  AND (%(source)s::text IS NULL OR source = %(source)s)
  AND (%(subject)s::text IS NULL OR subject = %(subject)s)
  AND (%(after)s::bigint IS NULL OR position > %(after)s)
ORDER BY position
LIMIT %(limit)s
