-- A circuit breaker and a bulkhead, after Hystrix: one call asks to pass, one tells how it went.
--
-- KEYS[1] the breaker, a hash   KEYS[2] the bulkhead, a sorted set of calls by when their slots expire
-- ARGV[1] what to do, then its arguments; all times are in milliseconds of the server's clock:
--   admit  <call> <bucket width> <lease> <limit, 0 for none>
--          Returns "closed <failures in a row>", "probe 0", "open <wait>" or "full <wait>".
--   settle <call> <bucket width> <holds a slot> <is the probe> <ok, failed or unknown>
--          <failures> <volume> <percent> <reset>
--          Returns "closed", "opened", "open" or "recovered".
--   look   Returns the state as JSON.
--
-- Fields of the hash: width (of a bucket), row, last (failures in a row and when the last was), until (open, and until when),
-- since, probe, lease (the call that may try, and how long), refused, and per bucket r<n> (calls let through)
-- and f<n> (failures). A window is ten buckets.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local action = ARGV[1]
local width = tonumber(ARGV[3] or redis.call('HGET', KEYS[1], 'width') or 1000)
local BUCKETS = 10
local KEEP_OPEN = 86400000

local function exact(number)
    return string.format('%.0f', number)
end

-- Calls and failures of the last ten buckets; removes the fields of older ones.
local function totals()
    local oldest = math.floor(now / width) - BUCKETS
    local calls, failures, old = 0, 0, {}
    local all = redis.call('HGETALL', KEYS[1])
    for place = 1, #all, 2 do
        local kind, bucket = string.match(all[place], '^([rf])(%d+)$')
        if kind then
            if tonumber(bucket) <= oldest or tonumber(bucket) > oldest + BUCKETS then
                old[#old + 1] = all[place]
            elseif kind == 'r' then
                calls = calls + tonumber(all[place + 1])
            else
                failures = failures + tonumber(all[place + 1])
            end
        end
    end
    if #old > 0 and action ~= 'look' then
        redis.call('HDEL', KEYS[1], unpack(old))
    end
    return calls, failures
end

local function count(kind)
    return redis.call('HINCRBY', KEYS[1], kind .. exact(math.floor(now / width)), 1)
end

local function admit(call, lease, limit)
    local kept = redis.call('HMGET', KEYS[1], 'until', 'lease', 'row')
    if kept[1] then
        local wait = math.max(tonumber(kept[1]), tonumber(kept[2] or 0)) - now
        if wait > 0 then
            redis.call('HINCRBY', KEYS[1], 'refused', 1)
            return 'open ' .. exact(wait)
        end
    end
    if limit > 0 then
        redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
        if redis.call('ZCARD', KEYS[2]) >= limit then
            local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
            return 'full ' .. exact(tonumber(first[2]) - now)
        end
        redis.call('ZADD', KEYS[2], exact(now + lease), call)
        redis.call('PEXPIRE', KEYS[2], math.max(lease, redis.call('PTTL', KEYS[2])))
    end
    if kept[1] then
        redis.call('HSET', KEYS[1], 'probe', call, 'lease', exact(now + lease))
        redis.call('PEXPIRE', KEYS[1], KEEP_OPEN)
        return 'probe 0'
    end
    if count('r') == 1 then
        redis.call('HSET', KEYS[1], 'width', width)
        totals()
    end
    redis.call('PEXPIRE', KEYS[1], width * BUCKETS)
    return 'closed ' .. (kept[3] or 0)
end

local function open(reset)
    redis.call('HSET', KEYS[1], 'until', exact(now + reset), 'since', exact(now))
    redis.call('HDEL', KEYS[1], 'probe', 'lease')
    redis.call('PEXPIRE', KEYS[1], math.max(KEEP_OPEN, reset * 2))
    return 'opened'
end

local function settle(call, is_probe, outcome, failures, volume, percent, reset)
    local kept = redis.call('HMGET', KEYS[1], 'until', 'probe', 'row', 'last')
    if kept[1] then
        -- Only the probe is listened to: others were let through before the failures were known, or
        -- took longer than a probe may.
        if kept[2] ~= call then
            return 'open'
        end
        if outcome == 'ok' then
            redis.call('DEL', KEYS[1])
            return 'recovered'
        elseif outcome == 'failed' then
            return open(reset)
        end
        redis.call('HDEL', KEYS[1], 'probe', 'lease')
        return 'open'
    end
    if is_probe or outcome == 'unknown' then
        return 'closed'
    end
    if outcome == 'ok' then
        redis.call('HDEL', KEYS[1], 'row', 'last')
        return 'closed'
    end
    local row = 1
    if kept[3] and now - tonumber(kept[4]) < width * BUCKETS then
        row = tonumber(kept[3]) + 1
    end
    count('f')
    redis.call('HSET', KEYS[1], 'row', row, 'last', exact(now))
    redis.call('PEXPIRE', KEYS[1], width * BUCKETS)
    local calls, failed = totals()
    local share = failed * 100 >= calls * percent
    if row >= failures or (calls >= volume and failed >= failures and share) then
        return open(reset)
    end
    return 'closed'
end

if action == 'admit' then
    return admit(ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5]))
elseif action == 'settle' then
    if ARGV[4] == '1' then
        redis.call('ZREM', KEYS[2], ARGV[2])
    end
    return settle(
        ARGV[2], ARGV[5] == '1', ARGV[6],
        tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
    )
end

local calls, failures = totals()
local kept = redis.call('HMGET', KEYS[1], 'until', 'lease', 'row', 'since', 'refused')
return cjson.encode({
    calls = calls,
    failures = failures,
    row = tonumber(kept[3] or 0),
    refused = tonumber(kept[5] or 0),
    busy = redis.call('ZCOUNT', KEYS[2], '(' .. exact(now), '+inf'),
    open = kept[1] and true or false,
    probed = kept[2] and tonumber(kept[2]) > now or false,
    wait = kept[1] and math.max(0, tonumber(kept[1]) - now) or 0,
    since = kept[4] and exact(tonumber(kept[4])) or ''
})
