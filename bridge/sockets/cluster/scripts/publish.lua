-- One event for one channel: marked, numbered, kept and told, or nothing of it.
-- KEYS: c l k     ARGV: envelope tag topic most seconds mark bucket window marks-prefix cache-seconds
-- Answer: -1 where the mark says that it went out already, else how many are subscribed
local c, envelope, mark = KEYS[1], ARGV[1], ARGV[6]
local record = redis.call('HMGET', c, 'o', 't', 'z')
if mark ~= '' and record[1] then
  local window = tonumber(ARGV[8])
  local at = math.floor(redis.call('TIME')[1] / window)
  local marks = ARGV[9] .. string.format('%d', at) .. ':' .. ARGV[7]
  if redis.call('SISMEMBER', ARGV[9] .. string.format('%d', at - 1) .. ':' .. ARGV[7], mark) == 1
      or redis.call('SADD', marks, mark) == 0 then
    return -1
  end
  if redis.call('SCARD', marks) == 1 then redis.call('EXPIRE', marks, 2 * window) end
end
if ARGV[10] ~= '0' then
  redis.call('SET', KEYS[3], envelope, 'EX', ARGV[10])
  if record[1] then redis.call('HDEL', c, 'x') end
end
if not record[1] then return 0 end
local number = string.format('%d', record[1] + 1)
redis.call('HSET', c, 'o', number, 't', ARGV[2])
local message = number .. ':' .. record[2] .. envelope
redis.call('RPUSH', KEYS[2], message)
redis.call('LTRIM', KEYS[2], -tonumber(ARGV[4]), -1)
redis.call('EXPIRE', KEYS[2], ARGV[5])
redis.call('PUBLISH', ARGV[3], message)
return tonumber(record[3])
