-- Reads a value with its epoch, and says who is to load it when it is not there.
-- ARGV: tenant, member, token of the lease (empty: only look), lease ms, keep ms, sweep due ms, sweep needed ms, heat to add
-- Returns "<hit | renew | load | wait | unswept> <epoch> <now, ms> <1 to sweep>", a line's end, and the entry.
local epoch, swept = current_epoch(KEYS[3], ARGV[1], ARGV[5])
local now = clock_ms()

local function answer(word, sweep, stored)
    return word .. ' ' .. epoch .. ' ' .. whole(now) .. ' ' .. sweep .. '\n' .. (stored or '')
end

local function leased()
    return ARGV[3] ~= '' and redis.call('SET', KEYS[2], ARGV[3], 'NX', 'PX', ARGV[4])
end

if now - swept > tonumber(ARGV[7]) then
    return answer('unswept', '1')
end
local sweep = '0'
if now - swept > tonumber(ARGV[6]) and redis.call('SET', KEYS[7], '1', 'NX', 'PX', 1000) then
    sweep = '1'
end
local stored = redis.call('GET', KEYS[1])
local _, marked, renewal, kind = parse(stored)
if marked ~= epoch or kind == 'gone' then
    if leased() then
        return answer('load', sweep)
    end
    return answer('wait', sweep)
end
redis.call('ZADD', KEYS[4], 'XX', now, ARGV[2])
if ARGV[8] ~= '0' and redis.call('ZINCRBY', KEYS[6], ARGV[8], ARGV[2]) == ARGV[8] then
    redis.call('PEXPIRE', KEYS[6], ARGV[5])
end
if now >= renewal and leased() then
    return answer('renew', sweep, stored)
end
return answer('hit', sweep, stored)
