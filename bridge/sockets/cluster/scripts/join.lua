-- The node has subscribers of the channel, and these users in it. A call twice is a call once.
-- KEYS: c m n i g dead l k h
-- ARGV: node place topic channel connections fresh-tag most-members my-tag flags bytes, then user and info by turns,
--   then call
--   flags: a  told again after a fault, nothing of it is news
--          d  with a, from a node that was taken for dead: it is news of all that were taken out
--          r  the roster is wanted   k  the last event is
--          a number: seconds for which the channel is known after it was vacated, where that is not 120
-- Answer: 'FENCED', or o t v z came added full roster cached ttl missed gap
--   came: the channel is occupied, and had not been just before; added: so are these users
--   missed: the messages after my-tag; gap: 1 where others may be missing before them, 2 where these are more than
--   so many bytes, else 0
local c, m, n, i, g, l, k, h = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[7], KEYS[8], KEYS[9]
local call = ARGV[#ARGV]
local node, place, topic, channel = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local connections, most, mine, flags = tonumber(ARGV[5]), tonumber(ARGV[7]), ARGV[8], ARGV[9]
if redis.call('EXISTS', KEYS[6]) == 1 then return 'FENCED' end
local is_news = not flags:find('a', 1, true) or flags:find('d', 1, true)

-- A key of another type is found before anything is changed: who is refused has left nothing behind.
local members = (#ARGV > 11 or flags:find('r', 1, true)) and redis.call('HLEN', m)
local had = tonumber(redis.call('HGET', c, node) or '0')
redis.call('HEXISTS', g, '')

redis.call('SADD', n, place)
if redis.call('HSETNX', c, 'o', 0) == 1 then
  redis.call('HSET', c, 't', ARGV[6])
  redis.call('HINCRBY', c, 'v', 0)  -- after an eviction some may have been counted already
  redis.call('HINCRBY', c, 'z', 0)
end
local kept_for = flags:match('%d+')
if kept_for then redis.call('HSET', c, 'e', kept_for) end
local came = 0
local change = connections - had
if change ~= 0 then
  redis.call('HSET', c, node, connections)
  local z = redis.call('HINCRBY', c, 'z', change)
  local personal = channel:sub(1, 1) == '#'
  -- 0: it is listed already, so nobody was the first; who else is there was evicted
  local is_new = personal and 0 or redis.pcall('HSET', i, channel, z)
  if z == change then
    redis.call('PERSIST', c)
    if redis.call('HDEL', g, '') == 0 and is_news and is_new ~= 0 then
      came = 1
      note(h, call, 'o', place)
    end
    if personal then redis.call('PUBLISH', topic, '^') end
  end
end

local added, full = {}, {}
if members and members ~= tonumber(redis.call('HGET', c, 'u') or members) then
  redis.call('HINCRBY', c, 'v', 1)  -- the roster was evicted: with a version that is not the next, all register again
end
for at = 11, #ARGV - 1, 2 do
  local user, info = ARGV[at], ARGV[at + 1]
  local held = redis.call('HGET', m, user)
  if held then
    redis.call('SADD', n, place .. ' ' .. user)
    local colon = held:find(':', 1, true)
    if not (',' .. held:sub(1, colon - 1) .. ','):find(',' .. node .. ',', 1, true) then
      redis.call('HSET', m, user, node .. ',' .. held)
    end
  elseif most > 0 and redis.call('HLEN', m) >= most then
    full[#full + 1] = user
  else
    redis.call('SADD', n, place .. ' ' .. user)
    redis.call('HSET', m, user, node .. ':' .. info)
    local version = redis.call('HINCRBY', c, 'v', 1)
    redis.call('PUBLISH', topic, '+' .. version .. ' ' .. user .. ' ' .. info)
    if redis.call('HDEL', g, user) == 0 and is_news then
      added[#added + 1] = user
      note(h, call, 'a', place, user)
    end
  end
end

if members then redis.call('HSET', c, 'u', redis.call('HLEN', m)) end

local missed, gap = {}, 0
local record = redis.call('HMGET', c, 'o', 't', 'v', 'z')
if mine ~= '' and mine ~= record[2] then
  local log = redis.pcall('LRANGE', l, 0, -1)  -- of another type: nothing can be had
  local found, is_whole, is_more, is_known =
    entries_after(log.err and {} or log, mine, record[2], tonumber(ARGV[10]))
  gap = is_whole and 0 or is_more and 2 or 1
  if is_known then missed = found end
end
local roster, cached, ttl = {}, false, 0
if flags:find('r', 1, true) then roster = redis.call('HGETALL', m) end
if flags:find('k', 1, true) then
  cached = redis.pcall('GET', k)
  if type(cached) == 'table' then cached = false end
  ttl = redis.call('PTTL', k)
end
return {record[1], record[2], record[3], record[4], came, added, full, roster, cached, ttl, missed, gap}
