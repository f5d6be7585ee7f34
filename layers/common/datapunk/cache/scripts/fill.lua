-- Keeps what the holder of the lease has read from the database.
-- ARGV: tenant, member, token, epoch, version, kind, value, life ms, early ms, prefix, budget, keep ms, longest ms
-- Returns stored, or lost when something was written, invalidated or lost since the lease was given.
local epoch = current_epoch(KEYS[3], ARGV[1], ARGV[12])
if redis.call('GET', KEYS[2]) ~= ARGV[3] or epoch ~= ARGV[4] then
    return 'lost'
end
local now = clock_ms()
-- Any write takes the lease away, so that what was read includes all that was written here.
local version = math.max(tonumber(ARGV[5]), (parse(redis.call('GET', KEYS[1]))))
local where = {
    prefix = ARGV[10], member = ARGV[2], budget = tonumber(ARGV[11]), keep = ARGV[12], longest = tonumber(ARGV[13])
}
store(where, version, epoch, now + ARGV[8] - ARGV[9], ARGV[6], ARGV[7], ARGV[8], now)
redis.call('ZREMRANGEBYRANK', KEYS[6], 0, -257)
return 'stored'
