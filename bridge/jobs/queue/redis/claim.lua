-- Waiting jobs become reserved, wherever they stand in the list; all others keep their places.
-- A job that somebody took since we looked is passed over. Reserved members that are done go.
--
-- KEYS  list, reserved set, notify list
-- ARGV  score of the reservation, tokens already taken from the notify list,
--       the jobs, each as two strings with their lengths (four bytes, big-endian) before them:
--       the entry as it stands in the list, the entry with its new attempts;
--       the reserved members that are done
-- Returns how many of these were still reserved, then the numbers (1, 2, …) of the jobs that were taken.

redis.call('ZADD', KEYS[2], 'XX', ARGV[1], '') -- fails before anything is moved, if this user may not
local taken = {0}
if ARGV[4] then
    taken[1] = redis.call('ZREM', KEYS[2], unpack(ARGV, 4))
end
local job, position = 0, 1
while position <= #ARGV[3] do
    local entry, reserved
    entry, reserved, position = struct.unpack('>I4c0I4c0', ARGV[3], position)
    job = job + 1

    local found = false
    if redis.call('ZSCORE', KEYS[2], reserved) then
        found = false -- its twin is reserved and would be overwritten: left for later
    elseif redis.call('LINDEX', KEYS[1], 0) == entry then
        found = redis.call('LPOP', KEYS[1]) -- cheaper than searching
    else -- mostly near the head, or the last that was pushed behind many of others
        local last = redis.call('LINDEX', KEYS[1], -1) == entry
        found = redis.call('LREM', KEYS[1], last and -1 or 1, entry) == 1
    end
    if found then
        redis.call('ZADD', KEYS[2], ARGV[1], reserved)
        taken[#taken + 1] = job
    end
end

-- One token per job, as Laravel's own script takes one per pop.
for _ = 1, #taken - 1 - tonumber(ARGV[2]) do
    redis.pcall('LPOP', KEYS[3])
end
return taken
