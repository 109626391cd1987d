-- Whether somebody who went at this moment is still away; only the first who asks is told so.
-- KEYS: g c m h ARGV: user ('' for the channel) moment place call (0: it is told already, and not noted)
--   A g that was evicted looks like one of which all is told: nothing is said then, rather than said twice.
--   moment: '' where Redis has lost it, with all that it held
local g, c, m, h = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local user, moment = ARGV[1], ARGV[2]
local at = redis.call('HGET', g, user)
if moment ~= '' then
  if at ~= moment then return 0 end
  redis.call('HDEL', g, user)
elseif at or (user ~= '' and redis.call('HEXISTS', m, user) == 1)
    or (user == '' and tonumber(redis.call('HGET', c, 'z') or 0) > 0) then
  return 0
end
if ARGV[4] ~= '0' then note(h, ARGV[4], 'g', ARGV[3], user) end
return 1
