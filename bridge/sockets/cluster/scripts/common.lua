-- What join, leave and reap share. A roster entry is `node,node:info`.

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- Whether a key is not what it should be: then only what depends on it fails. All else is to be tried again.
local function is_of_a_key(problem)
  local text = type(problem) == 'table' and problem.err or tostring(problem)
  for _, word in ipairs({'WRONGTYPE', 'not an integer', 'attempt to'}) do
    if text:find(word, 1, true) then return true end
  end
  return false
end

-- The user has left the node's channel. When that was his last node: the moment, as text.
local function leave_user(c, m, n, g, topic, node, place, user)
  local was_told = redis.call('SREM', n, place .. ' ' .. user) == 1
  local held = redis.call('HGET', m, user)
  if held then
    local colon, is_in, others = held:find(':', 1, true), false, {}
    for other in held:sub(1, colon - 1):gmatch('[^,]+') do
      if other == node then is_in = true else others[#others + 1] = other end
    end
    if not is_in then return false end
    if #others > 0 then
      redis.call('HSET', m, user, table.concat(others, ',') .. held:sub(colon))
      return false
    end
    redis.call('HDEL', m, user)
    redis.call('HINCRBY', c, 'u', -1)
  elseif was_told then  -- the roster was evicted: with a version that is not the next, all register again
    redis.call('HINCRBY', c, 'v', 1)
  else
    return false
  end
  local version = redis.call('HINCRBY', c, 'v', 1)
  redis.call('PUBLISH', topic, '-' .. version .. ' ' .. user)
  local at = string.format('%d', now_ms())
  redis.call('HSET', g, user, at)
  redis.call('EXPIRE', g, 3600)
  return at
end

-- The node has no subscriber of the channel any more. When it was the last node: the moment, as text. Nobody says
-- so where the channel's record was evicted: who else is there registers again.
local function leave_channel(c, n, i, g, topic, node, place, channel, counted)
  local was_told = redis.call('SREM', n, place) == 1
  local had = redis.call('HGET', c, node)
  -- Where there is no record either, the list of channels may still hold it.
  if not had and not was_told and redis.call('HEXISTS', c, 'o') == 1 then return false end
  redis.call('HDEL', c, node)
  local z = redis.call('HINCRBY', c, 'z', 0 - tonumber(had or 0))  -- not -0, which Redis refuses
  local personal = channel:sub(1, 1) == '#'
  if z > 0 then
    if not personal then redis.pcall('HSET', i, channel, z) end
    if counted and not personal then
      redis.call('HSET', c, 'p', z)
      redis.call('PUBLISH', topic, '#' .. z)
    end
    return false
  end
  redis.call('HSET', c, 'z', 0)
  redis.call('HDEL', c, 'x', 'p')
  redis.pcall('HDEL', i, channel)
  redis.call('EXPIRE', c, redis.call('HGET', c, 'e') or 120)
  if personal then redis.call('PUBLISH', topic, '^') end
  if not had then return false end
  local at = string.format('%d', now_ms())
  redis.call('HSET', g, '', at)
  redis.call('EXPIRE', g, 3600)
  return at
end
