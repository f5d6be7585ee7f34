-- Voids a value, but not its version: a late write of something older must still lose.
-- ARGV: tenant, member, -, -, only this version or empty, -, -, life ms, -, prefix, budget, keep ms, longest ms,
--       -, -, channels, notice
-- Returns gone, or none when it is another version.
redis.call('DEL', KEYS[2])
local version = parse(redis.call('GET', KEYS[1]))
if ARGV[5] ~= '' and version ~= tonumber(ARGV[5]) then
    return 'none'
end
local epoch = current_epoch(KEYS[3], ARGV[1], ARGV[12])
local where = {
    prefix = ARGV[10], member = ARGV[2], budget = tonumber(ARGV[11]), keep = ARGV[12], longest = tonumber(ARGV[13])
}
store(where, version, epoch, 0, 'gone', '', ARGV[8], clock_ms())
publish(ARGV[16], ARGV[17])
return 'gone'
