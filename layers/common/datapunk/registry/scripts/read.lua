-- Returns the index, then for each instance its document followed by definition and state of each check.
--
-- ARGV: 1 service, or '' for all
local found = {}
local function add(id)
    local instance, document = known(INSTANCES, id)
    local entry = { document }
    for _, check in ipairs(instance.checks) do
        entry[#entry + 1] = redis.call('HGET', CHECKS, check)
        entry[#entry + 1] = redis.call('HGET', STATES, check)
    end
    found[#found + 1] = entry
end
if ARGV[1] == '' then
    local ids = redis.call('HKEYS', INSTANCES)
    table.sort(ids)
    for _, id in ipairs(ids) do
        add(id)
    end
else
    -- A service's members begin with its name and a space; '!' is what follows the space.
    local first, last = '[' .. ARGV[1] .. ' ', '(' .. ARGV[1] .. '!'
    for _, member in ipairs(redis.call('ZRANGEBYLEX', NAMES, first, last)) do
        add(string.sub(member, #ARGV[1] + 2))
    end
end
return { redis.call('GET', INDEX) or '0', found }
