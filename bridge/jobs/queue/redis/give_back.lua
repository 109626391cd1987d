-- Reserved members return to the list in the form they had there, one after the other, each with a token:
-- behind an entry that is there, or else to the head.
--
-- KEYS  reserved set, list, notify list
-- ARGV  the entry to stand behind, or nothing; pairs, in order of service: the reserved member, the original
--       entry
-- Returns how many were still reserved.

redis.call('ZREM', KEYS[1], '') -- fails before anything is moved, if this user may not
local given, before = 0, ARGV[1]
for pair = 2, #ARGV, 2 do
    if redis.call('ZSCORE', KEYS[1], ARGV[pair]) then
        if before == '' or redis.call('LINSERT', KEYS[2], 'AFTER', before, ARGV[pair + 1]) < 1 then
            redis.call('LPUSH', KEYS[2], ARGV[pair + 1])
        end
        redis.call('ZREM', KEYS[1], ARGV[pair])
        before = ARGV[pair + 1]
        redis.call('RPUSH', KEYS[3], '1')
        given = given + 1
    end
end
return given
