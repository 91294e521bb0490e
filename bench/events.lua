-- wrk: pages of 500 events, one after the other. Each thread begins at one of the SPAN transactions after AFTER. EVENT is the last event of an account.
dofile("result.lua")
local event = os.getenv("EVENT")
local after

request = function()
  after = (after or tonumber(os.getenv("AFTER")) + math.random(0, tonumber(os.getenv("SPAN")))) + 500
  return "GET /api/events?after=" .. string.format("%d", after) .. "-" .. event .. "&limit=500 HTTP/1.1\r\nHost: localhost\r\n\r\n"
end
