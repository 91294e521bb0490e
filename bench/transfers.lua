-- wrk: transfers of a cent between random pairs of the accounts 1000 .. 1000 + ACCOUNTS - 1.
local accounts = tonumber(os.getenv("ACCOUNTS") or 10000)
local threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("seed", os.time() + #threads)
end

function init()
  math.randomseed(seed)
  refused = 0
end

function request()
  local from = math.random(0, accounts - 1)
  local to = (from + math.random(1, accounts - 1)) % accounts
  return wrk.format("POST", "/api/transaction", { ["Content-Type"] = "application/json" },
    string.format('{"from_account_id":%d,"to_account_id":%d,"amount":"0.01"}', 1000 + from, 1000 + to))
end

function response(status)
  if status ~= 201 then refused = refused + 1 end
end

function done(summary, latency)
  local refused = 0
  for _, thread in ipairs(threads) do refused = refused + thread:get("refused") end
  io.write(string.format("result %d %.2f %.2f %d\n", summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, refused))
end
