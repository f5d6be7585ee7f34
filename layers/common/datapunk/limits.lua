-- Generic cell rate algorithm: one time per client says when all of its requests would have been spread
-- out evenly. Kept is that time alone, in microseconds of the server's clock.
--
-- KEYS[1] the client's key   ARGV[1] microseconds between requests   ARGV[2] requests allowed at once
-- Returns {1 or 0 for allowed, requests left, microseconds until one more, microseconds until all}.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval = tonumber(ARGV[1])
local span = interval * tonumber(ARGV[2])

local spread = tonumber(redis.call('GET', KEYS[1]) or now)
if spread < now then
    spread = now
end
local after = spread + interval
if after - span > now then
    return {0, 0, after - span - now, spread - now}
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return {1, math.floor((now + span - after) / interval), 0, after - now}
