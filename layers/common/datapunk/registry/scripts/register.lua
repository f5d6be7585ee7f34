-- Puts an instance in, or another definition of it.
--
-- ARGV: 1 its document   2 '1' where the caller may change what others own   3 most instances of the tenant
--       then for each check its definition and the state it begins in ('' for its own default).
-- Returns the index, or 'foreign', 'taken <check>' or 'full' and has changed nothing.
--
-- A check that is there already keeps its state, as with Consul; its lease begins anew.
local wanted = cjson.decode(ARGV[1])
local instance, document = known(INSTANCES, wanted.id)
if instance and instance.owner ~= wanted.owner and ARGV[2] ~= '1' then
    return 'foreign'
end
if not instance and redis.call('HLEN', INSTANCES) >= tonumber(ARGV[3]) then
    return 'full'
end
for place, check in ipairs(wanted.checks) do
    local other = known(CHECKS, check)
    if other and other.instance ~= wanted.id then
        return 'taken ' .. check
    end
end

local before = instance and health(instance)
local changed = document ~= ARGV[1]
local kept = {}
for place, check in ipairs(wanted.checks) do
    kept[check] = true
    local text, beginning = ARGV[2 + 2 * place], ARGV[3 + 2 * place]
    local definition = cjson.decode(text)
    local old, old_text = known(CHECKS, check)
    changed = changed or old_text ~= text
    redis.call('HSET', CHECKS, check, text)
    local state = old and known(STATES, check)
    if not state then
        local status = beginning ~= '' and beginning or 'critical'
        keep_state(check, status, '', 0)
        state = { status = status }
    elseif beginning ~= '' and beginning ~= state.status then
        keep_state(check, beginning, '', 0)
        state.status = beginning
        changed = true
    end
    set_timers(check, definition, state.status)
end
if instance then
    for _, check in ipairs(instance.checks) do
        if not kept[check] then
            forget_check(check)
        end
    end
    redis.call('ZREM', NAMES, instance.service .. ' ' .. instance.id)
end
redis.call('HSET', INSTANCES, wanted.id, ARGV[1])
redis.call('ZADD', NAMES, 0, wanted.service .. ' ' .. wanted.id)
if document ~= ARGV[1] then
    tell('service.registered', ARGV[1], before or '', health(wanted), 'requested')
end
if changed then
    move()
    local after = health(wanted)
    if before and before ~= after then
        tell('service.health.changed', ARGV[1], before, after, 'registered anew')
    end
end
return redis.call('GET', INDEX)
