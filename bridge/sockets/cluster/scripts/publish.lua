-- Events, each for one channel: marked, numbered, kept and told, or nothing of it.
-- KEYS: c l k, for each     ARGV: window marks-prefix wholes, and for each:
--   envelope topic most seconds cache-seconds mark bucket
--   wholes: first and number of those that go out together or not at all, by turns; '' where there are none
--   bucket, where there is no mark: 'again' where it may have gone out already, 'late' where that is so long
--   ago that the log may not have kept it; behind a space the tag of an event before it, where one is known
-- Answer, for each: -1 where it went out already, an error where it could not, else how many are subscribed
local window = tonumber(ARGV[1])
local now = math.floor(redis.call('TIME')[1] / window)
local marks_now = ARGV[2] .. string.format('%d', now) .. ':'
local marks_before = ARGV[2] .. string.format('%d', now - 1) .. ':'
local logs = {}  -- the tags in each log that was searched, and of the event before each of its events

local function is_in(l, tag)
  if not logs[l] then
    logs[l] = {}
    for _, entry in ipairs(redis.call('LRANGE', l, 0, -1)) do
      local start = entry:find(':', 1, true) or 0
      logs[l][entry:sub(start + 1, start + 8)] = true
      logs[l][entry:sub(start + 11, start + 18)] = true
    end
  end
  return logs[l][tag]
end

-- Answer: as above, and what is to be told, with the record before
local function keep(key, at)
  local c, l = KEYS[key], KEYS[key + 1]
  local envelope, _, most, _, _, mark, bucket = unpack(ARGV, at, at + 6)
  local record = redis.call('HMGET', c, 'o', 't', 'z')
  local tag, last = envelope:sub(3, 10), record[2]
  local is_late, is_again = bucket:sub(1, 4) == 'late', bucket:sub(1, 5) == 'again'
  if mark ~= '' and record[1] then
    if redis.call('SISMEMBER', marks_before .. bucket, mark) == 1
        or redis.call('SISMEMBER', marks_now .. bucket, mark) == 1 then
      return -1
    end
  elseif (is_late or is_again) and (last == tag or is_in(l, tag)) then
    return -1
  end
  if not record[1] then return 0 end
  local number = string.format('%d', record[1] + 1)
  local message = number .. ':' .. last .. envelope
  local length = redis.call('RPUSH', l, message)  -- the first that can fail: nothing was changed before
  -- The log may have dropped it since, unless it holds what came before it. Who has it from before must not take
  -- it for the last now: no event has this tag, so all look for a gap.
  if record[1] ~= '0' and (is_late or is_again and length > tonumber(most)) then
    local before = bucket:sub(is_late and 6 or 7)
    if before == '' or last ~= before and not is_in(l, before) then tag = envelope:sub(11, 18) end
  end
  if logs[l] then logs[l][last], logs[l][envelope:sub(3, 10)] = true, true end
  redis.call('HSET', c, 'o', number, 't', tag)
  if mark ~= '' then
    local marks = marks_now .. bucket
    redis.call('SADD', marks, mark)
    if redis.call('SCARD', marks) == 1 then redis.call('EXPIRE', marks, 2 * window) end
  end
  return tonumber(record[3] or 0), message, record
end

local function undo(key, at, record)
  redis.call('RPOP', KEYS[key + 1])
  logs[KEYS[key + 1]] = nil
  redis.call('HSET', KEYS[key], 'o', record[1], 't', record[2])
  if ARGV[at + 5] ~= '' then redis.call('SREM', marks_now .. ARGV[at + 6], ARGV[at + 5]) end
end

local function tell(key, at, message)
  local l, envelope, cache_seconds = KEYS[key + 1], ARGV[at], ARGV[at + 4]
  if message then
    -- What may have gone out already drops nothing: the next of that kind looks for an event before it.
    if tonumber(ARGV[at + 6]) then redis.call('LTRIM', l, -tonumber(ARGV[at + 2]), -1) end
    redis.call('EXPIRE', l, ARGV[at + 3])
  end
  if cache_seconds ~= '0' then
    redis.call('SET', KEYS[key + 2], envelope, 'EX', cache_seconds)
    if message then redis.call('HDEL', KEYS[key], 'x') end
  end
  if message then redis.call('PUBLISH', ARGV[at + 1], message) end
end

local function publish(key, at)
  local answer, message = keep(key, at)
  if answer ~= -1 then tell(key, at, message) end
  return answer
end

local answers = {}

local function attempt(event, what, ...)
  local went, answer, message, record = pcall(what, 3 * event - 2, 7 * event - 3, ...)
  if not went and type(answer) ~= 'table' then answer = {err = tostring(answer)} end
  if not went or what ~= tell then answers[event] = answer end
  return went, message, record
end

local function publish_whole(first, last)
  local messages, records = {}, {}
  for event = first, last do
    local went, message, record = attempt(event, keep)
    if not went then
      local problem = answers[event]
      for other = first, last do answers[other] = problem end
      for other = event - 1, first, -1 do
        if records[other] then undo(3 * other - 2, 7 * other - 3, records[other]) end
      end
      return
    end
    messages[event], records[event] = message, record
  end
  for event = first, last do
    if answers[event] ~= -1 then attempt(event, tell, messages[event]) end
  end
end

local wholes = {}
for first, number in ARGV[3]:gmatch('(%d+) (%d+)') do wholes[tonumber(first)] = tonumber(number) end
local event = 1
while event <= #KEYS / 3 do
  local number = wholes[event]
  if number then publish_whole(event, event + number - 1) else attempt(event, publish) end
  event = event + (number or 1)
end
return answers
