-- Whether somebody who went at this moment is still away; only the first who asks is told so.
-- KEYS: g      ARGV: user ('' for the channel) moment
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
