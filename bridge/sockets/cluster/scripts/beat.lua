-- The node lives. KEYS: nodes dead leader     ARGV: node record lease-ms
-- Answer: 'FENCED', or whether it is the leader, and all nodes with their records
if redis.call('EXISTS', KEYS[2]) == 1 then return 'FENCED' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local leads = 0
if redis.call('SET', KEYS[3], ARGV[1], 'NX', 'PX', ARGV[3]) then
  leads = 1
elseif redis.pcall('GET', KEYS[3]) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[3], ARGV[3])
  leads = 1
end
return {leads, redis.call('HGETALL', KEYS[1])}
