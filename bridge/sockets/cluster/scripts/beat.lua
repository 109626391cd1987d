-- The node lives. KEYS: nodes dead duty     ARGV: node record duty-ms
-- Answer: 'FENCED', or whether the duty is its own, and all nodes with their records
if redis.call('EXISTS', KEYS[2]) == 1 then return 'FENCED' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local duty = 0
if redis.call('SET', KEYS[3], ARGV[1], 'NX', 'PX', ARGV[3]) then
  duty = 1
elseif redis.call('GET', KEYS[3]) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[3], ARGV[3])
  duty = 1
end
return {duty, redis.call('HGETALL', KEYS[1])}
