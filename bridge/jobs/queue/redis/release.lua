-- A reserved member goes to the delayed set, if it is still reserved.
--
-- KEYS  reserved set, delayed set
-- ARGV  the member, unix second from which it may be taken, the member as it is then
-- Returns 1 if it was still reserved, else 0.

redis.call('ZADD', KEYS[2], 'XX', 0, '') -- fails before anything is moved, if this user may not
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then
    return 0
end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[3])
return 1
