-- Notes that all writes committed before a time are here.   KEYS[1] epoch   ARGV: time ms, keep ms
current_epoch(KEYS[1], '', ARGV[2])
if tonumber(redis.call('HGET', KEYS[1], 'swept') or '0') < tonumber(ARGV[1]) then
    redis.call('HSET', KEYS[1], 'swept', ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return whole(clock_ms())
