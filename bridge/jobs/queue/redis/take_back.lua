-- Members whose reservation has expired go to the end of the list, each with a token.
--
-- KEYS  reserved set, list, notify list
-- ARGV  now in unix seconds, the members
-- Returns how many were moved.

redis.call('ZREM', KEYS[1], '') -- fails before anything is moved, if this user may not
local moved = 0
for index = 2, #ARGV do
    local score = redis.call('ZSCORE', KEYS[1], ARGV[index])
    if score and tonumber(score) <= tonumber(ARGV[1]) then
        redis.call('RPUSH', KEYS[2], ARGV[index])
        redis.call('ZREM', KEYS[1], ARGV[index])
        redis.call('RPUSH', KEYS[3], '1')
        moved = moved + 1
    end
end
return moved
