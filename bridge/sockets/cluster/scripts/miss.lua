-- A subscriber of a cache channel found no event. That is told once, until there has been an event or the channel
-- is vacated; where either has come meanwhile, it says nothing of who misses one later.
-- KEYS: c k h     ARGV: place call
-- Answer: whether it is to be told
local c, k = KEYS[1], KEYS[2]
local is_so = tonumber(redis.call('HGET', c, 'z') or 0) > 0 and redis.call('EXISTS', k) == 0
if is_so and redis.call('HSETNX', c, 'x', 1) == 0 then return 0 end
note(KEYS[3], ARGV[2], 'm', ARGV[1])
return 1
