-- The node is dead, and up to `most` of what it has told is taken back. To be called until nothing remains.
-- Who had left it just before is told by who takes it back.
-- KEYS: n dead nodes h, of who takes it back     ARGV: node most prefix topics call
-- Answer: how many remain, then for each that left a channel: place user when ('' for the channel itself)
local n, node, prefix, topics = KEYS[1], ARGV[1], ARGV[3], ARGV[4]
redis.call('SET', KEYS[2], '1', 'EX', 86400)
local left = {0}

local function leaves(place, user, at)
  left[#left + 1] = place
  left[#left + 1] = user
  left[#left + 1] = at
  note(KEYS[4], ARGV[5], 'l', place, user, at)
end

local function take_out(entry)
  if entry == ':#' then return end  -- the witness of beat.lua
  local space = entry:find(' ', 1, true)
  local place = space and entry:sub(1, space - 1) or entry
  local user = space and entry:sub(space + 1) or ''
  local colon = place:find(':', 1, true)
  local app, channel = place:sub(1, colon - 1), place:sub(colon + 1)
  local c, m, g = prefix .. 'c:' .. place, prefix .. 'm:' .. place, prefix .. 'g:' .. place
  local at
  if space then
    at = leave_user(c, m, n, g, topics .. place, node, place, user)
  else
    at = leave_channel(c, n, prefix .. 'i:' .. app, g, topics .. place, node, place, channel, true)
  end
  if at then leaves(place, user, at) end
end

for _, entry in ipairs(redis.call('SRANDMEMBER', n, ARGV[2])) do
  local went, problem = pcall(take_out, entry)
  if not went and not is_of_a_key(problem) then error(problem) end
  redis.call('SREM', n, entry)
end
left[1] = redis.call('SCARD', n)
if left[1] == 0 then
  redis.call('HDEL', KEYS[3], node)
  local h = prefix .. 'h:' .. node
  for _, noted in ipairs(redis.pcall('LRANGE', h, 0, -1)) do
    local place, user, at = noted:match('^%d+ l (%S+) (%S*) (%d+)$')
    if place then leaves(place, user, at) end
  end
  redis.call('DEL', h)
end
return left
