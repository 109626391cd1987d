-- What the page has, as far as its connection knows. Nothing where a later connection owns the record. Where
-- there is none any more, or an earlier one owns it since Redis has lost its last writes, only the whole of it
-- makes a new one.
-- KEYS: r     ARGV: socket_id seconds whole earlier number, then key and tag by turns ('': it has left the channel)
local r, whole = KEYS[1], ARGV[3] == '1'
local owner = redis.call('HGET', r, 'w')
local is_earlier = owner and (tonumber(ARGV[5]) > tonumber(redis.call('HGET', r, 'n') or 0)
  or (',' .. ARGV[4] .. ','):find(',' .. owner .. ',', 1, true))
if owner ~= ARGV[1] and not (whole and (is_earlier or not owner)) then return 0 end
if whole then
  redis.call('DEL', r)
  redis.call('HSET', r, 'w', ARGV[1], 's', ARGV[4], 'n', ARGV[5])
end
for at = 6, #ARGV, 2 do
  if ARGV[at + 1] == '' then
    redis.call('HDEL', r, 'p' .. ARGV[at])
  else
    redis.call('HSET', r, 'p' .. ARGV[at], ARGV[at + 1])
  end
end
redis.call('EXPIRE', r, ARGV[2])
return 1
