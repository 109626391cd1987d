-- So many connections of the node are subscribed now. Told to all, if wanted: at most every 5 s above 100.
-- KEYS: c i n dead     ARGV: node place topic channel connections told
-- Answer: 'FENCED', or subscriptions in all (-1: Redis has lost that the node is subscribed), and 1 where that was told now, 2 where it is to be told later
local c, channel = KEYS[1], ARGV[4]
if redis.call('EXISTS', KEYS[4]) == 1 then return 'FENCED' end
if redis.call('SISMEMBER', KEYS[3], ARGV[2]) == 0 then return {-1, 0} end
local change = tonumber(ARGV[5]) - tonumber(redis.call('HGET', c, ARGV[1]) or '0')
local z = tonumber(redis.call('HGET', c, 'z') or '0')
if change ~= 0 then
  redis.call('HSET', c, ARGV[1], ARGV[5])
  z = redis.call('HINCRBY', c, 'z', change)
end
redis.pcall('HSET', KEYS[2], channel, z)  -- also where that is no change: the list of channels may have been evicted
if ARGV[6] == '0' then return {z, 0} end
local told = redis.call('HMGET', c, 'p', 'q')
if told[1] and tonumber(told[1]) == z then return {z, 0} end
local t = redis.call('TIME')
if z > 100 and told[2] and math.abs(t[1] - told[2]) < 5 then return {z, 2} end  -- its clock may be put back
redis.call('HSET', c, 'p', z, 'q', t[1])
redis.call('PUBLISH', ARGV[3], '#' .. z)
return {z, 1}
