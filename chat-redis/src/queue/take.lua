-- Delivers one job. ARGV: the lease in ms, attempts at most.
-- Answers for how long there is nothing to do (ms, -1 for ever), and if there is a job, what it is.
local taken
local looked = 0

-- Delivers a job, or gives it up; a job that is gone leaves an entry that nobody needs.
local function deliver(stream, entry, id)
    local expires = redis.call('HGET', JOB .. id, 'expires')
    if not expires then
        redis.call('XACK', stream, GROUP, entry)
        redis.call('XDEL', stream, entry)
    elseif expires ~= '' and tonumber(expires) <= now then
        bury(id, 'expired')
    else
        local attempt = redis.call('HINCRBY', JOB .. id, 'attempts', 1)
        redis.call('HSET', JOB .. id, 'held', attempt)
        local body, priority = unpack(redis.call('HMGET', JOB .. id, 'body', 'priority'))
        taken = { id, attempt, priority, expires, body }
    end
end

local due = redis.call('ZRANGEBYSCORE', LATER, '-inf', now, 'LIMIT', 0, 100)
for _, id in ipairs(due) do
    redis.call('ZREM', LATER, id)
    ready(id)
end
for _, stream in ipairs({ HIGH, NORMAL }) do
    begin(stream)
    -- What a worker holds that has not been heard of for a lease comes first: it has waited longest.
    while not taken and looked < 100 do
        looked = looked + 1
        local entry = redis.call('XAUTOCLAIM', stream, GROUP, WORKER, ARGV[1], '0', 'COUNT', 1)[2][1]
        if not entry then
            local new = redis.call('XREADGROUP', 'GROUP', GROUP, WORKER, 'COUNT', 1, 'STREAMS', stream, '>')
            entry = new and new[1][2][1]
            if not entry then
                break
            end
            deliver(stream, entry[1], entry[2][2])
        elseif redis.call('EXISTS', JOB .. entry[2][2]) == 0 or not exhaust(entry[2][2], ARGV[2]) then
            deliver(stream, entry[1], entry[2][2])
        end
    end
end
if taken then
    return { 0, unpack(taken) }
end
if looked >= 100 then
    return { 0 } -- many were given up; there may be more
end
local next = redis.call('ZRANGE', LATER, 0, 0, 'WITHSCORES')
return { next[2] and math.max(0, next[2] - now) or -1 }
