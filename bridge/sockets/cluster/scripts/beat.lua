-- The node lives. KEYS: nodes dead leader h n ARGV: node record lease-ms known-call witness
-- Answer: 'FENCED', or whether it is the leader, all nodes with their records, and whether n has no witness: it is
-- new, or was evicted since the last beat
if redis.call('EXISTS', KEYS[2]) == 1 then return 'FENCED' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local notes, known = redis.pcall('LRANGE', KEYS[4], 0, -1), 0
for at, note in ipairs(notes) do
  if tonumber(note:match('^%d+') or 0) > tonumber(ARGV[4]) then break end
  known = at
end
if known > 0 then redis.call('LTRIM', KEYS[4], known, -1) end
if known < #notes then redis.call('EXPIRE', KEYS[4], 3600) end
local leads = 0
if redis.call('SET', KEYS[3], ARGV[1], 'NX', 'PX', ARGV[3]) then
  leads = 1
elseif redis.pcall('GET', KEYS[3]) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[3], ARGV[3])
  leads = 1
end
return {leads, redis.call('HGETALL', KEYS[1]), redis.pcall('SADD', KEYS[5], ARGV[5]) == 1 and 1 or 0}
