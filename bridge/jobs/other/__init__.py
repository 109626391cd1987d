"""Jobs that are no broadcasts: run by the app's own PHP, in place of `queue:work` and `queue:listen`.

`worker.php` is Laravel's own `queue:work`, in a process that stays; only where its jobs come from and end is
ours: `php_lane.py` reserves them, hands them over, and does in the queue what they ask for.
"""
