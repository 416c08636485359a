-- What the scripts of a queue share. KEYS are those of `Tray::keys`; a job's own key is not declared, but on the same
-- server by its braces.
local HIGH, NORMAL, LATER, DEAD, META, JOB, BELL = unpack(KEYS)
local GROUP, WORKER = 'workers', 'any' -- one name for all workers: names of dead ones would pile up
local DEAD_MAX, DEAD_BYTES_MAX = 1000, 64 * 1024 * 1024
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function lane(id)
    return redis.call('HGET', JOB .. id, 'priority') == 'high' and HIGH or NORMAL
end

-- Makes sure that a stream has its group. A stream that is there was made here.
local function begin(stream)
    if redis.call('EXISTS', stream) == 0 then
        redis.call('XGROUP', 'CREATE', stream, GROUP, '0', 'MKSTREAM')
    end
end

-- Lets a job be delivered, behind others of its priority.
local function ready(id)
    local stream = lane(id)
    begin(stream)
    redis.call('HSET', JOB .. id, 'entry', redis.call('XADD', stream, '*', 'job', id))
end

-- Adds a new job; false when there is no room.
local function add(body, priority, expires, jobs_max, bytes_max)
    local jobs, bytes = unpack(redis.call('HMGET', META, 'jobs', 'bytes'))
    if tonumber(jobs or 0) >= tonumber(jobs_max) or tonumber(bytes or 0) + #body > tonumber(bytes_max) then
        return false
    end
    local id = redis.call('HINCRBY', META, 'last', 1)
    redis.call('HSET', JOB .. id, 'body', body, 'priority', priority, 'expires', expires, 'attempts', 0)
    redis.call('HINCRBY', META, 'jobs', 1)
    redis.call('HINCRBY', META, 'bytes', #body)
    ready(id)
    redis.call('SPUBLISH', BELL, '')
    return true
end

-- Takes a job out of its stream.
local function take_out(id)
    local stream, entry = lane(id), redis.call('HGET', JOB .. id, 'entry')
    redis.call('XACK', stream, GROUP, entry)
    redis.call('XDEL', stream, entry)
    redis.call('HDEL', JOB .. id, 'held')
end

local function forget(id)
    redis.call('HINCRBY', META, 'jobs', -1)
    redis.call('HINCRBY', META, 'bytes', -redis.call('HSTRLEN', JOB .. id, 'body'))
    redis.call('DEL', JOB .. id)
end

-- Forgets a dead letter; 0 when it is not kept.
local function forget_letter(letter)
    local found = redis.call('XRANGE', DEAD, letter, letter)[1]
    if not found then
        return 0
    end
    redis.call('HINCRBY', META, 'dead_bytes', -#found[2][2])
    return redis.call('XDEL', DEAD, letter)
end

-- Gives a job up. The oldest letters make room for it.
local function bury(id, reason)
    take_out(id)
    local body, priority, expires, attempts =
        unpack(redis.call('HMGET', JOB .. id, 'body', 'priority', 'expires', 'attempts'))
    redis.call('XADD', DEAD, '*', 'body', body, 'priority', priority, 'expires', expires, 'attempts', attempts,
        'reason', reason)
    redis.call('HINCRBY', META, 'dead_bytes', #body)
    forget(id)
    while redis.call('XLEN', DEAD) > DEAD_MAX or tonumber(redis.call('HGET', META, 'dead_bytes')) > DEAD_BYTES_MAX do
        forget_letter(redis.call('XRANGE', DEAD, '-', '+', 'COUNT', 1)[1][1])
    end
end

-- Gives a job up that was delivered often enough; false when it may come again.
local function exhaust(id, attempts_max)
    local attempts = tonumber(redis.call('HGET', JOB .. id, 'attempts'))
    if attempts < tonumber(attempts_max) then
        return false
    end
    bury(id, 'not done after ' .. attempts .. ' attempts')
    return true
end
