-- Says what became of a delivery. ARGV: job, attempt, how, attempts at most, delay in ms or reason.
-- Answers 0 when the job was given back meanwhile: then it is another's.
local id = ARGV[1]
if redis.call('HGET', JOB .. id, 'held') ~= ARGV[2] then
    return 0
end
if ARGV[3] == 'done' then
    take_out(id)
    forget(id)
elseif ARGV[3] == 'dead' then
    bury(id, ARGV[5])
elseif not exhaust(id, ARGV[4]) then
    take_out(id)
    if ARGV[3] == 'retry' and tonumber(ARGV[5]) > 0 then
        redis.call('ZADD', LATER, now + ARGV[5], id)
    else
        ready(id)
    end
    redis.call('SPUBLISH', BELL, '')
end
return 1
