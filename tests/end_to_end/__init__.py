"""bridge beside a real Laravel app: real queues in, real Echo clients (Node, Chromium) out.

processes  start, wait for, stop: no process outlives its test
laravel    a copy of fixtures/laravel on one store: dispatch, oracle, queue:work, the web server
bridge     `bridge serve` as a user runs it
echo       Echo clients, told what to do
wire       a bare Pusher client, for exact texts, counts and times
"""
