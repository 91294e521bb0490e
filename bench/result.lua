-- wrk: seeds each thread, and prints what was measured: result <answers a second> <median ms> <p99 ms> <requests that failed>
local threads = 0

setup = function(thread)
  threads = threads + 1
  thread:set("seed", os.time() + threads)
end

init = function()
  math.randomseed(seed)
end

done = function(summary, latency)
  local failed = 0
  for _, errors in pairs(summary.errors) do failed = failed + errors end
  io.write(string.format("result %d %.2f %.2f %d\n", summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed))
end
