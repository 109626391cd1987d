-- A page has a new connection, which owns its record from now on; unless a later one does, since this is told
-- late: the browser of this one is gone. A record with too many positions, of a page that comes back each time
-- with other channels, is not known any more.
-- KEYS: r     ARGV: socket_id seconds most-earlier most-positions number
-- Answer: whether the page is known, its socket_ids before this one, and its positions (key and tag by turns)
local r = KEYS[1]
local earlier = redis.call('HGET', r, 's') or ''
local positions = {}
if redis.call('HLEN', r) > tonumber(ARGV[4]) + 3 then redis.call('DEL', r) end
local held = redis.call('HGETALL', r)
for at = 1, #held, 2 do
  if held[at]:sub(1, 1) == 'p' then
    positions[#positions + 1] = held[at]:sub(2)
    positions[#positions + 1] = held[at + 1]
  end
end
local ids = {}
for id in earlier:gmatch('[^,]+') do ids[#ids + 1] = id end
ids[#ids + 1] = ARGV[1]
while #ids > tonumber(ARGV[3]) + 1 do table.remove(ids, 1) end
if tonumber(ARGV[5]) >= tonumber(redis.call('HGET', r, 'n') or 0) then
  redis.call('HSET', r, 'w', ARGV[1], 's', table.concat(ids, ','), 'n', ARGV[5])
end
redis.call('EXPIRE', r, ARGV[2])
return {#held > 0 and 1 or 0, earlier, positions}
