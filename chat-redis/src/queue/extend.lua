-- Prolongs the lease of what a worker holds. ARGV: job, attempt, job, attempt…
for at = 1, #ARGV, 2 do
    local held, entry = unpack(redis.call('HMGET', JOB .. ARGV[at], 'held', 'entry'))
    if held == ARGV[at + 1] then
        redis.call('XCLAIM', lane(ARGV[at]), GROUP, WORKER, 0, entry, 'JUSTID')
    end
end
return 1
