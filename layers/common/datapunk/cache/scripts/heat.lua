-- Takes what was read most since the last time.   KEYS[1] heat   ARGV: how many
local found = redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1, 'REV', 'WITHSCORES')
redis.call('DEL', KEYS[1])
return found
