-- What the page has, as far as its connection knows. Nothing where another connection owns the record; where
-- there is none any more, only the whole of it makes a new one.
-- KEYS: r     ARGV: socket_id seconds whole earlier, then key and tag by turns ('': it has left the channel)
local r, whole = KEYS[1], ARGV[3] == '1'
local owner = redis.call('HGET', r, 'w')
if owner ~= ARGV[1] and (owner or not whole) then return 0 end
if whole then
  redis.call('DEL', r)
  redis.call('HSET', r, 'w', ARGV[1], 's', ARGV[4])
end
for at = 5, #ARGV, 2 do
  if ARGV[at + 1] == '' then
    redis.call('HDEL', r, 'p' .. ARGV[at])
  else
    redis.call('HSET', r, 'p' .. ARGV[at], ARGV[at + 1])
  end
end
redis.call('EXPIRE', r, ARGV[2])
return 1
