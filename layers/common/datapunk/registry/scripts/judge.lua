-- Takes the result of one probe. A check turns critical after so many failures one after another, and
-- passes again after so many successes; one that was never probed passes at its first.
--
-- ARGV: 1 check   2 '1' for a success   3 output   4 definition that was probed
-- Returns the check's state, or 'missing' where it is gone or another by now.
local definition, text = known(CHECKS, ARGV[1])
if not definition or text ~= ARGV[4] then
    return 'missing'
end
local state = known(STATES, ARGV[1])
local streak, status, output = state.streak, state.status, state.output
if ARGV[2] == '1' then
    local first = streak == 0
    streak = math.min(math.max(streak, 0) + 1, definition.successes)
    if status == 'passing' or first or streak >= definition.successes then
        status, output = 'passing', ARGV[3]
    end
else
    streak = math.max(math.min(streak, 0) - 1, -definition.failures)
    if status == 'critical' or -streak >= definition.failures then
        status, output = 'critical', ARGV[3]
    end
end
become(ARGV[1], definition, status, output, streak)
return status
