"""PHP processes that stay: the app is booted once, then they answer one question after another.

`process.py` is one of them and its frames, `pool.py` the few that are kept, `circuit_breaker.py` the times in
which none is started, `app_processes.py` the whole, `app.php` the PHP side. What they are asked is the
business of `jobs.resolve` (how would this event be broadcast?) and `jobs.other` (run this job).
"""
