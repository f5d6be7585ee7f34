-- Takes a heartbeat: the state a service says its check is in, which renews the lease.
--
-- ARGV: 1 check   2 state   3 output   4 who asks   5 '1' where he may change what others own
-- Returns the index, or 'missing', 'foreign' or 'probed' and has changed nothing.
local definition = known(CHECKS, ARGV[1])
if not definition then
    return 'missing'
end
local instance = known(INSTANCES, definition.instance)
if instance.owner ~= ARGV[4] and ARGV[5] ~= '1' then
    return 'foreign'
end
if definition.ttl_ms <= 0 then
    return 'probed'
end
become(ARGV[1], definition, ARGV[2], ARGV[3], 0)
return redis.call('GET', INDEX)
