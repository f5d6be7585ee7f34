-- What every script of the registry begins with: a tenant's keys, the clock, and what time has done.
--
-- A script first lets leases expire that are over. So nobody ever reads a lease that has run out, whether a
-- sweeper came by or not, and every expiry moves the index and is a change like any other.
--
-- KEYS, all of one tenant and so in one slot:
--   1 instances  hash   instance -> its document
--   2 checks     hash   check -> its definition
--   3 states     hash   check -> its state
--   4 leases     zset   check -> when it turns critical without another heartbeat
--   5 reaping    zset   check -> when its instance is removed unless the check recovers
--   6 index      string grows with every change
--   7 changes    stream what happened, until it is published
--   8 names      zset   "<service> <instance>", to find a service's instances
-- Times are milliseconds of the server's clock. Documents are never written back by a script: to Lua an empty
-- list and an empty object are the same.
local INSTANCES, CHECKS, STATES, LEASES = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local REAPING, INDEX, CHANGES, NAMES = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local RANK = { passing = 0, warning = 1, critical = 2 }
local AT_ONCE = 500
local KEPT_CHANGES = 100000

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local moved

-- Moves the index, once in a script. It follows the clock, so that it does not go back where Redis has lost
-- its data.
local function move()
    if not moved then
        local last = tonumber(redis.call('GET', INDEX) or '0')
        moved = string.format('%.0f', math.max(last + 1, now))
        redis.call('SET', INDEX, moved)
    end
    return moved
end

local function known(hash, field)
    local text = redis.call('HGET', hash, field)
    return text and cjson.decode(text), text
end

-- An instance is as well as the worst of its checks, and well without any.
local function health(instance)
    local worst = 'passing'
    for _, check in ipairs(instance.checks) do
        local state = known(STATES, check)
        if state and RANK[state.status] > RANK[worst] then
            worst = state.status
        end
    end
    return worst
end

local function tell(event, document, before, after, reason)
    redis.call(
        'XADD', CHANGES, 'MAXLEN', '~', KEPT_CHANGES, '*', 'event', event, 'instance', document,
        'before', before, 'after', after, 'reason', reason, 'index', move(), 'at', string.format('%.0f', now)
    )
end

local function keep_state(check, status, output, streak)
    redis.call('HSET', STATES, check, cjson.encode({
        status = status, output = output, streak = streak, since = now,
    }))
end

-- Sets when a check turns critical by itself, and when it takes its instance with it.
local function set_timers(check, definition, status)
    if status == 'critical' then
        redis.call('ZREM', LEASES, check)
        if definition.reap_ms >= 0 and not redis.call('ZSCORE', REAPING, check) then
            redis.call('ZADD', REAPING, now + definition.reap_ms, check)
        end
        return
    end
    redis.call('ZREM', REAPING, check)
    if definition.ttl_ms > 0 then
        redis.call('ZADD', LEASES, now + definition.ttl_ms, check)
    end
end

-- Brings a check into a state; a change of its instance's health is told.
local function become(check, definition, status, output, streak)
    local state = known(STATES, check)
    set_timers(check, definition, status)
    if state.status == status then
        -- What a check says about itself may change with each heartbeat: that alone wakes nobody.
        if state.output ~= output or state.streak ~= streak then
            state.output, state.streak = output, streak
            redis.call('HSET', STATES, check, cjson.encode(state))
        end
        return
    end
    local instance, document = known(INSTANCES, definition.instance)
    local before = health(instance)
    keep_state(check, status, output, streak)
    move()
    local after = health(instance)
    if before ~= after then
        tell('service.health.changed', document, before, after, output)
    end
end

local function forget_check(check)
    redis.call('HDEL', CHECKS, check)
    redis.call('HDEL', STATES, check)
    redis.call('ZREM', LEASES, check)
    redis.call('ZREM', REAPING, check)
end

local function remove(instance, document, reason)
    local before = health(instance)
    for _, check in ipairs(instance.checks) do
        forget_check(check)
    end
    redis.call('HDEL', INSTANCES, instance.id)
    redis.call('ZREM', NAMES, instance.service .. ' ' .. instance.id)
    tell('service.deregistered', document, before, 'critical', reason)
end

local function expire()
    for _, check in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, AT_ONCE)) do
        become(check, known(CHECKS, check), 'critical', 'TTL expired', 0)
    end
    for _, check in ipairs(redis.call('ZRANGEBYSCORE', REAPING, '-inf', now, 'LIMIT', 0, AT_ONCE)) do
        local definition = known(CHECKS, check)
        if definition then
            local instance, document = known(INSTANCES, definition.instance)
            remove(instance, document, 'expired')
        end
    end
end

expire()
