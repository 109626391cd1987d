-- Up to ARGV[2] due members of a sorted set go to the end of the list, each with a token.
--
-- KEYS  delayed or reserved set, list, notify list
-- ARGV  now in unix seconds, most members to move
-- Returns how many were moved.

local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
if #due == 0 then
    return 0
end
redis.call('ZREMRANGEBYRANK', KEYS[1], 1, 0) -- fails before anything is moved, if this user may not
redis.call('RPUSH', KEYS[2], unpack(due))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, #due - 1)
local tokens = {}
for index = 1, #due do
    tokens[index] = '1'
end
redis.call('RPUSH', KEYS[3], unpack(tokens))
return #due
