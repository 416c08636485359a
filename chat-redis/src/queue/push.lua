-- ARGV: body, priority, expires ('' for never), jobs at most, bytes at most. Answers 0 when the queue is full.
return add(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]) and 1 or 0
