-- Starts a new epoch for all entries of a partition, or of one tenant.   KEYS[1] epoch   ARGV: tenant or empty, keep ms
current_epoch(KEYS[1], ARGV[1], ARGV[2])
local field = ARGV[1] == '' and 'all' or 'tenant:' .. ARGV[1]
redis.call('HSET', KEYS[1], field, unique(server()))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 'void'
