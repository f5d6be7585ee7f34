-- Generic cell rate algorithm under a cap. The algorithm keeps one time: when the client's requests so far
-- would be over, had they been spread out evenly; so two windows' quotas cannot be sent around the end of
-- one. The cap counts the requests since a window's first: within it exactly the quota passes.
--
-- KEYS[1] the client's key   ARGV[1] microseconds between requests   ARGV[2] quota
-- Returns "<1 or 0 for allowed> <requests left> <microseconds until one more> <microseconds until all>": one
-- text is read in half the time of four numbers.
-- Kept is "<time> <end of the window> <requests in it>", times in microseconds of the server's clock.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval = tonumber(ARGV[1])
local quota = tonumber(ARGV[2])
local window = interval * quota

local spread, ends, used = now, now + window, 0
local kept = redis.call('GET', KEYS[1])
if kept then
    local first, second, third = string.match(kept, '(%d+) (%d+) (%d+)')
    spread = math.max(now, tonumber(first))
    if tonumber(second) > now then
        ends, used = tonumber(second), tonumber(third)
    end
end

local wait = spread + interval - window - now
if used >= quota then
    wait = math.max(wait, ends - now)
end
if wait > 0 then
    return string.format('0 0 %.0f %.0f', wait, math.max(spread, ends) - now)
end
spread = spread + interval
used = used + 1
local reset = math.max(spread, ends) - now
redis.call(
    'SET', KEYS[1], string.format('%.0f %.0f %d', spread, ends, used), 'PX', math.ceil(reset / 1000)
)
local left = math.min(quota - used, math.floor((now + window - spread) / interval))
return string.format('1 %d 0 %.0f', left, reset)
