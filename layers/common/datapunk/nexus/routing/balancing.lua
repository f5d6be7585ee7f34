-- Whose turn it is: smooth weighted round robin over the instances of a service that are not ejected, and the
-- ejection itself. One call chooses, one tells of a failure or of a probe's success.
--
-- KEYS[1] turns: a hash of current weights   KEYS[2] health: a hash of instances that have failed
-- ARGV[1] what to do, then its arguments; times are in milliseconds of the server's clock:
--   pick <probe's lease> <may be repeated> <patience> [<instance> <weight> <is excluded>]...
--        Returns "<place> turn", "<place> shaky" (has failed: tell of its success) or "<place> probe", places
--        counted from 1, or "0 <milliseconds until an instance may be tried again>".
--   tell <instance> <is the probe> <ok, failed or unknown> <failures> <base> <most>
--        Returns "kept", "ejected <for how long>" or "recovered".
--
-- A member of the health hash is "<failures in a row> <ejections> <until> <probe's end> <recovered>"; `until` is
-- 0 where the instance is not ejected. Every ejection soon after the last one takes twice as long.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local KEEP = 3600000

local function read(text)
    if not text then
        return { failures = 0, ejections = 0, till = 0, probe = 0, recovered = 0 }
    end
    local f, e, u, p, r = string.match(text, '(%d+) (%d+) (%d+) (%d+) (%d+)')
    return {
        failures = tonumber(f), ejections = tonumber(e), till = tonumber(u),
        probe = tonumber(p), recovered = tonumber(r)
    }
end

local function write(id, state)
    redis.call('HSET', KEYS[2], id, string.format(
        '%.0f %.0f %.0f %.0f %.0f',
        state.failures, state.ejections, state.till, state.probe, state.recovered
    ))
    redis.call('PEXPIRE', KEYS[2], math.max(KEEP, 2 * math.max(state.till - now, 0)))
end

local function pick(lease, repeatable, patience)
    local ids, weights, excluded = {}, {}, {}
    for place = 5, #ARGV, 3 do
        ids[#ids + 1] = ARGV[place]
        weights[#weights + 1] = tonumber(ARGV[place + 1])
        excluded[#excluded + 1] = ARGV[place + 2] == '1'
    end
    local kept = redis.call('HMGET', KEYS[2], unpack(ids))
    local free, shaky, wait = {}, {}, -1
    for place, id in ipairs(ids) do
        local state = read(kept[place])
        local late = math.max(state.till, state.probe) - now
        if state.till == 0 then
            if not excluded[place] and weights[place] > 0 then
                free[#free + 1] = place
                shaky[place] = state.failures > 0 or state.ejections > 0
            end
        elseif late > 0 then
            wait = wait < 0 and late or math.min(wait, late)
        elseif not excluded[place] then
            if repeatable or now >= state.till + patience then
                state.probe = now + lease
                write(id, state)
                return place .. ' probe'
            end
            wait = 0
        end
    end
    if #free == 0 then
        return '0 ' .. string.format('%.0f', math.max(wait, 0))
    end
    local turns = redis.call('HMGET', KEYS[1], unpack(ids))
    local total, best, most = 0, 0, 0
    local changed = {}
    for _, place in ipairs(free) do
        local turn = tonumber(turns[place] or 0) + weights[place]
        total = total + weights[place]
        if best == 0 or turn > most then
            best, most = place, turn
        end
        changed[#changed + 1] = ids[place]
        changed[#changed + 1] = turn
    end
    for place = 1, #changed, 2 do
        local turn = changed[place + 1]
        if changed[place] == ids[best] then
            turn = turn - total
        end
        changed[place + 1] = string.format('%.6f', turn)
    end
    redis.call('HSET', KEYS[1], unpack(changed))
    redis.call('PEXPIRE', KEYS[1], KEEP)
    -- Instances come and go; their turns must not stay.
    if redis.call('HLEN', KEYS[1]) > 2 * #ids then
        local known = {}
        for _, id in ipairs(ids) do
            known[id] = true
        end
        for _, id in ipairs(redis.call('HKEYS', KEYS[1])) do
            if not known[id] then
                redis.call('HDEL', KEYS[1], id)
            end
        end
    end
    return best .. (shaky[best] and ' shaky' or ' turn')
end

local function tell(id, is_probe, outcome, failures, base, most)
    local state = read(redis.call('HGET', KEYS[2], id))
    if (state.till > 0) ~= is_probe then
        -- Chosen before the ejection, or a probe that took longer than it may.
        return 'kept'
    end
    if outcome == 'unknown' then
        if is_probe then
            state.probe = 0
            write(id, state)
        end
        return 'kept'
    end
    if outcome == 'ok' then
        if is_probe then
            state.failures, state.till, state.probe, state.recovered = 0, 0, 0, now
            write(id, state)
            return 'recovered'
        end
        if state.ejections > 0 and now - state.recovered < most then
            state.failures = 0
            write(id, state)
        else
            redis.call('HDEL', KEYS[2], id)
        end
        return 'kept'
    end
    if not is_probe then
        state.failures = state.failures + 1
        if state.failures < failures then
            write(id, state)
            return 'kept'
        end
        if now - state.recovered >= most then
            state.ejections = 0
        end
    end
    state.ejections = state.ejections + 1
    local time = math.min(base * 2 ^ math.min(state.ejections - 1, 30), most)
    state.failures, state.till, state.probe = 0, now + time, 0
    write(id, state)
    return string.format('ejected %.0f', time)
end

if ARGV[1] == 'pick' then
    return pick(tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4]))
end
return tell(
    ARGV[2], ARGV[3] == '1', ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
)
