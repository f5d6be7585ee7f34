-- Keeps what was committed: the last write wins, by version.
-- ARGV: tenant, member, -, -, version, kind, value, life ms, early ms, prefix, budget, keep ms, longest ms,
--       when the writer knew it to be the last (ms), how late it may come (ms), channels, notice
-- Returns stored, same, older or late. A late one may have been overtaken by a write that is forgotten here.
redis.call('DEL', KEYS[2])
local now = clock_ms()
if now - ARGV[14] > tonumber(ARGV[15]) then
    return 'late'
end
local epoch = current_epoch(KEYS[3], ARGV[1], ARGV[12])
local version, marked, _, kind = parse(redis.call('GET', KEYS[1]))
if version > tonumber(ARGV[5]) then
    return 'older'
end
if version == tonumber(ARGV[5]) and marked == epoch and kind == ARGV[6] then
    return 'same'
end
local where = {
    prefix = ARGV[10], member = ARGV[2], budget = tonumber(ARGV[11]), keep = ARGV[12], longest = tonumber(ARGV[13])
}
store(where, tonumber(ARGV[5]), epoch, now + ARGV[8] - ARGV[9], ARGV[6], ARGV[7], ARGV[8], now)
publish(ARGV[16], ARGV[17])
return 'stored'
