-- Events, each for one channel: marked, numbered, kept and told, or nothing of it.
-- KEYS: c l k, for each     ARGV: window marks-prefix, and for each:
--   envelope topic most seconds cache-seconds mark bucket
--   bucket, where there is no mark: 'again' where it may have gone out already, 'late' where the log may also
--   have dropped it since
-- Answer, for each: -1 where it went out already, an error where it could not, else how many are subscribed
local window = tonumber(ARGV[1])
local now = math.floor(redis.call('TIME')[1] / window)
local marks_now = ARGV[2] .. string.format('%d', now) .. ':'
local marks_before = ARGV[2] .. string.format('%d', now - 1) .. ':'
local logs = {}  -- the tags in each log that was searched

local function is_in(l, tag)
  if not logs[l] then
    logs[l] = {}
    for _, entry in ipairs(redis.call('LRANGE', l, 0, -1)) do
      local start = entry:find(':', 1, true) or 0
      logs[l][entry:sub(start + 11, start + 18)] = true
    end
  end
  return logs[l][tag]
end

local function publish(key, at)
  local c, l, k = KEYS[key], KEYS[key + 1], KEYS[key + 2]
  local envelope, topic, most, seconds, cache_seconds, mark, bucket = unpack(ARGV, at, at + 6)
  local record = redis.call('HMGET', c, 'o', 't', 'z')
  local tag, last = envelope:sub(3, 10), record[2]
  if mark ~= '' and record[1] then
    if redis.call('SISMEMBER', marks_before .. bucket, mark) == 1
        or redis.call('SISMEMBER', marks_now .. bucket, mark) == 1 then
      return -1
    end
  elseif (bucket == 'again' or bucket == 'late') and (last == tag or is_in(l, tag)) then
    return -1
  end
  local message
  if record[1] then
    local number = string.format('%d', record[1] + 1)
    message = number .. ':' .. last .. envelope
    redis.call('RPUSH', l, message)  -- the first that can fail: nothing was changed before
    local ours = tag
    -- Who has it from before must not take it for the last now: no event has this tag, so all look for a gap.
    if bucket == 'late' and record[1] ~= '0' then ours = envelope:sub(11, 18) end
    redis.call('HSET', c, 'o', number, 't', ours)
    redis.call('LTRIM', l, -tonumber(most), -1)
    redis.call('EXPIRE', l, seconds)
    if mark ~= '' then
      local marks = marks_now .. bucket
      redis.call('SADD', marks, mark)
      if redis.call('SCARD', marks) == 1 then redis.call('EXPIRE', marks, 2 * window) end
    end
  end
  if cache_seconds ~= '0' then
    redis.call('SET', k, envelope, 'EX', cache_seconds)
    if message then redis.call('HDEL', c, 'x') end
  end
  if not message then return 0 end
  redis.call('PUBLISH', topic, message)
  return tonumber(record[3] or 0)
end

local answers = {}
for event = 1, #KEYS / 3 do
  local went, answer = pcall(publish, 3 * event - 2, 7 * event - 4)
  if not went and type(answer) ~= 'table' then answer = {err = tostring(answer)} end
  answers[event] = answer
end
return answers
