-- A job of Horizon's is done: completed, unless it is known there as failed.
--
-- KEYS  the job's hash, pending, completed (or silenced), metrics of the job's class, their index, metrics of
--       the queue, their index, monitored tags, monitored jobs
-- ARGV  id, unix seconds, when the hash expires, runtime in milliseconds, when it expires if it is monitored,
--       connection, queue, name, payload; the job's tags

redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('HGET', KEYS[1], 'status') == 'failed' then
    return 0
end
redis.call('ZADD', KEYS[3], -ARGV[2], ARGV[1])
redis.call('HSET', KEYS[1], 'status', 'completed', 'completed_at', ARGV[2])
redis.call('EXPIREAT', KEYS[1], ARGV[3])

for at = 4, 6, 2 do
    local count, mean = unpack(redis.call('HMGET', KEYS[at], 'throughput', 'runtime'))
    count, mean = tonumber(count or 0), tonumber(mean or 0)
    redis.call('HSET', KEYS[at], 'throughput', count + 1,
        'runtime', tostring((count * mean + ARGV[4]) / (count + 1)))
    redis.call('SADD', KEYS[at + 1], KEYS[at])
end

for at = 10, #ARGV do
    if redis.call('SISMEMBER', KEYS[8], ARGV[at]) == 1 then
        redis.call('ZADD', KEYS[9], -ARGV[2], ARGV[1])
        redis.call('HSET', KEYS[1], 'id', ARGV[1], 'connection', ARGV[6], 'queue', ARGV[7], 'name', ARGV[8],
            'payload', ARGV[9])
        redis.call('EXPIREAT', KEYS[1], ARGV[5])
        break
    end
end
return 1
