-- Whether somebody who went at this moment is still away; only the first who asks is told so.
-- KEYS: g      ARGV: user ('' for the channel) moment ('' for whichever it was)
local at = redis.call('HGET', KEYS[1], ARGV[1])
if not at or (ARGV[2] ~= '' and ARGV[2] ~= at) then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
