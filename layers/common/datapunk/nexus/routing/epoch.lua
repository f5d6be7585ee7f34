-- The epoch of the rules never goes back: who read it before a change may write it after the change.
--
-- KEYS[1] the epoch   ARGV[1] one that was read or made   ARGV[2] how long it is believed, in milliseconds
-- Returns the newest.
local known = tonumber(redis.call('GET', KEYS[1]) or '-1')
local told = tonumber(ARGV[1])
if told > known then
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return ARGV[1]
end
return string.format('%.0f', known)
