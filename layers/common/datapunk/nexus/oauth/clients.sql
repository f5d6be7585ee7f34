-- name: insert_client
INSERT INTO nexus.oauth_clients
    (id, tenant, name, secret_hash, redirect_uris, post_logout_redirect_uris, grant_types, scopes)
VALUES
    (%(id)s, %(tenant)s, %(name)s, %(secret_hash)s, %(redirect_uris)s,
     %(post_logout_redirect_uris)s, %(grant_types)s, %(scopes)s)
RETURNING id, tenant, name, secret_hash, redirect_uris, post_logout_redirect_uris, grant_types, scopes,
          created_at

-- name: find_client
SELECT id, tenant, name, secret_hash, redirect_uris, post_logout_redirect_uris, grant_types, scopes,
       created_at
FROM nexus.oauth_clients
WHERE id = %(id)s

-- name: list_clients
SELECT id, tenant, name, secret_hash, redirect_uris, post_logout_redirect_uris, grant_types, scopes,
       created_at
FROM nexus.oauth_clients
WHERE tenant = %(tenant)s AND id > %(after)s
ORDER BY id
LIMIT %(limit)s
