-- Returns the index, after what has expired has moved it.
return redis.call('GET', INDEX) or '0'
