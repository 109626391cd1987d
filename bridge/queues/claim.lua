-- Waiting jobs become reserved, wherever they stand in the list; all others keep their places.
-- A job that somebody took since we looked is passed over.
--
-- KEYS  list, reserved set, notify list
-- ARGV  score of the reservation, tokens already taken from the notify list,
--       then pairs: the entry as it stands in the list, the entry with its new attempts
-- Returns the positions (1, 2, …) of the pairs that were taken.

local taken = {}
local pairs_given = (#ARGV - 2) / 2

local function reserve(pair)
    redis.call('ZADD', KEYS[2], ARGV[1], ARGV[2 + 2 * pair])
    taken[#taken + 1] = pair
end

-- As long as the head of the list is the next pair, popping is cheaper than searching.
local pair = 1
while pair <= pairs_given do
    local entry = ARGV[1 + 2 * pair]
    if redis.call('ZSCORE', KEYS[2], ARGV[2 + 2 * pair]) then
        -- its twin is reserved already and would be overwritten: left for later
    elseif redis.call('LINDEX', KEYS[1], 0) == entry then
        redis.call('LPOP', KEYS[1])
        reserve(pair)
    elseif redis.call('LREM', KEYS[1], 1, entry) == 1 then
        reserve(pair)
    end
    pair = pair + 1
end

-- One token per job, as Laravel's own script takes one per pop.
for _ = 1, #taken - tonumber(ARGV[2]) do
    redis.call('LPOP', KEYS[3])
end
return taken
