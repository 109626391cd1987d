-- Events, each for one channel: marked, numbered, kept and told, or nothing of it.
-- KEYS: c l k, for each     ARGV: window marks-prefix, and for each:
--   envelope topic most seconds cache-seconds mark bucket
-- Answer, for each: -1 where the mark says that it went out already, an error where it could not, else how
-- many are subscribed
local window = tonumber(ARGV[1])
local now = math.floor(redis.call('TIME')[1] / window)
local marks_now = ARGV[2] .. string.format('%d', now) .. ':'
local marks_before = ARGV[2] .. string.format('%d', now - 1) .. ':'

local function publish(key, at)
  local c, l, k = KEYS[key], KEYS[key + 1], KEYS[key + 2]
  local envelope, topic, most, seconds, cache_seconds, mark, bucket = unpack(ARGV, at, at + 6)
  local record = redis.call('HMGET', c, 'o', 't', 'z')
  if mark ~= '' and record[1] then
    local marks = marks_now .. bucket
    if redis.call('SISMEMBER', marks_before .. bucket, mark) == 1
        or redis.call('SADD', marks, mark) == 0 then
      return -1
    end
    if redis.call('SCARD', marks) == 1 then redis.call('EXPIRE', marks, 2 * window) end
  end
  if cache_seconds ~= '0' then
    redis.call('SET', k, envelope, 'EX', cache_seconds)
    if record[1] then redis.call('HDEL', c, 'x') end
  end
  if not record[1] then return 0 end
  local number = string.format('%d', record[1] + 1)
  local message = number .. ':' .. record[2] .. envelope
  redis.call('RPUSH', l, message)
  redis.call('HSET', c, 'o', number, 't', envelope:sub(3, 10))
  redis.call('LTRIM', l, -tonumber(most), -1)
  redis.call('EXPIRE', l, seconds)
  redis.call('PUBLISH', topic, message)
  return tonumber(record[3])
end

local answers = {}
for event = 1, #KEYS / 3 do
  local went, answer = pcall(publish, 3 * event - 2, 7 * event - 4)
  if not went and type(answer) ~= 'table' then answer = {err = tostring(answer)} end
  answers[event] = answer
end
return answers
