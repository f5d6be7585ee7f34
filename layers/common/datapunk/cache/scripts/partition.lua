-- What the scripts of a value's partition share. Their keys lie in one slot, in this order:
--   KEYS[1] entry  [2] lease  [3] epoch  [4] used  [5] size  [6] heat  [7] sweep
-- An entry reads "<version> <epoch> <renewal, ms> <value | absent | gone>", a line's end, and the value.
--
-- An epoch is good for one process of the server. A replica that took over, or a server that began again, may have
-- lost the last writes, and nobody can know which: its first script starts a new epoch, and with it all entries
-- of the partition are void. So are they after a flush, or when the epoch itself was evicted.

local function clock_ms()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function whole(number)
    return string.format('%.0f', number)
end

local function server()
    return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
end

local function unique(node)
    local time = redis.call('TIME')
    return string.sub(node, 1, 8) .. '-' .. time[1] .. string.format('%06d', time[2])
end

-- Returns the epoch of a tenant's entries, and the time up to which all committed writes are known to be here.
local function current_epoch(key, tenant, keep)
    local node = server()
    local kept = redis.call('HMGET', key, 'node', 'all', 'tenant:' .. tenant, 'swept')
    if kept[1] == node then
        return kept[2] .. '.' .. (kept[3] or ''), tonumber(kept[4] or '0')
    end
    local all = unique(node)
    redis.call('DEL', key)
    redis.call('HSET', key, 'node', node, 'all', all)
    redis.call('PEXPIRE', key, keep)
    return all .. '.', 0
end

local function parse(stored)
    local version, epoch, renewal, kind = string.match(stored or '', '^(%d+) (%S+) (%d+) (%a+)\n')
    return tonumber(version or '0'), epoch, tonumber(renewal or '0'), kind
end

-- Forgets a value of the partition. Its keys follow from its name and lie in the same slot.
local function evict(prefix, member)
    redis.call('DEL', prefix .. 'entry:' .. member)
    redis.call('ZREM', KEYS[4], member)
    redis.call('ZREM', KEYS[6], member)
    local size = tonumber(redis.call('HGET', KEYS[5], member) or '0')
    redis.call('HDEL', KEYS[5], member)
    redis.call('HINCRBY', KEYS[5], 'total', -size)
end

-- where: {prefix, member, budget in bytes, keep in ms, longest life in ms}
local function store(where, version, epoch, renewal, kind, value, life, now)
    local head = whole(version) .. ' ' .. epoch .. ' ' .. whole(renewal) .. ' ' .. kind .. '\n'
    redis.call('SET', KEYS[1], head .. value, 'PX', life)
    redis.call('DEL', KEYS[2])
    local size = redis.call('MEMORY', 'USAGE', KEYS[1])
    local before = tonumber(redis.call('HGET', KEYS[5], where.member) or '0')
    redis.call('HSET', KEYS[5], where.member, size)
    local total = redis.call('HINCRBY', KEYS[5], 'total', size - before)
    redis.call('ZADD', KEYS[4], now, where.member)
    for place = 3, 6 do
        redis.call('PEXPIRE', KEYS[place], where.keep)
    end
    -- What has expired is still counted until here: a few of them each time.
    local expired = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now - where.longest, 'LIMIT', 0, 16)
    for _, member in ipairs(expired) do
        evict(where.prefix, member)
    end
    total = tonumber(redis.call('HGET', KEYS[5], 'total'))
    while total > where.budget do
        local oldest = redis.call('ZRANGE', KEYS[4], 0, 0)[1]
        if not oldest then
            break
        end
        evict(where.prefix, oldest)
        total = tonumber(redis.call('HGET', KEYS[5], 'total'))
    end
end

local function publish(channels, notice)
    for channel in string.gmatch(channels, '%S+') do
        redis.call('PUBLISH', channel, notice)
    end
end
