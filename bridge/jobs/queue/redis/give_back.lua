-- Reserved members return to the head of the list in the form they had there, each with a token.
--
-- KEYS  reserved set, list, notify list
-- ARGV  pairs, the one to be served first last: the reserved member, the original entry
-- Returns how many were still reserved.

local given = 0
for pair = 1, #ARGV, 2 do
    if redis.call('ZREM', KEYS[1], ARGV[pair]) == 1 then
        redis.call('LPUSH', KEYS[2], ARGV[pair + 1])
        redis.call('RPUSH', KEYS[3], '1')
        given = given + 1
    end
end
return given
