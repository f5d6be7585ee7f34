-- How fast an instance answers, as a moving average that forgets: each answer counts a tenth.
--
-- KEYS[1] a hash of instances   ARGV[1] the instance   ARGV[2] milliseconds it took   ARGV[3] 1 if it failed
-- A member is "<milliseconds> <share of failures> <answers>".
local KEEP, PART = 3600000, 0.1
local kept = redis.call('HGET', KEYS[1], ARGV[1])
local took, failed, seen = tonumber(ARGV[2]), tonumber(ARGV[3]), 0
if kept then
    local a, b, c = string.match(kept, '(%S+) (%S+) (%S+)')
    seen = tonumber(c)
    took = tonumber(a) + (took - tonumber(a)) * PART
    failed = tonumber(b) + (failed - tonumber(b)) * PART
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.3f %.4f %.0f', took, failed, seen + 1))
redis.call('PEXPIRE', KEYS[1], KEEP)
return 'noted'
