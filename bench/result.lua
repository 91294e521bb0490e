-- wrk: seeds each thread, and prints what was measured: result <answers a second> <median ms> <p99 ms> <answers that were no success>
local threads = {}

setup = function(thread)
  table.insert(threads, thread)
  thread:set("seed", os.time() + #threads)
end

init = function()
  math.randomseed(seed)
  refused = 0
end

response = function(status)
  if status >= 300 then refused = refused + 1 end
end

done = function(summary, latency)
  local refused = 0
  for _, thread in ipairs(threads) do refused = refused + thread:get("refused") end
  io.write(string.format("result %d %.2f %.2f %d\n", summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, refused))
end
