-- What a call of a node has brought about, and is told once on all nodes, is noted until the node's beat says
-- that it has the answer: that may be lost.
-- kind: o occupied  a user added  l user left, or the channel was, at that moment  g that is told  m cache miss
local function note(h, call, kind, place, user, at)
  local noted = redis.pcall('RPUSH', h, table.concat({call, kind, place, user or '', at or ''}, ' '))
  if noted == 1 then redis.call('EXPIRE', h, 3600) end
end
