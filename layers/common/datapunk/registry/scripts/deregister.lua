-- Takes an instance out.
--
-- ARGV: 1 instance   2 who asks   3 '1' where he may change what others own
-- Returns the index, or 'missing' or 'foreign' and has changed nothing.
local instance, document = known(INSTANCES, ARGV[1])
if not instance then
    return 'missing'
end
if instance.owner ~= ARGV[2] and ARGV[3] ~= '1' then
    return 'foreign'
end
remove(instance, document, 'requested')
return move()
