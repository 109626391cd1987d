"""Monitoring: hub events of the node and steps of the worker are recorded, counted and shown.

    journal     the last things that happened, for the dashboard
    counters    counts and durations, for metrics, statistics and charts
    timeseries  one point a second, for the dashboard
    summary     one line a minute, for the log
    metrics     the counters as Prometheus reads them
    statistics  the counters in the app's table `websockets_statistics_entries`

Hub events come on the loop, steps in the worker's thread. Nobody waits for an observer, and none of them
waits: memory is bounded, the oldest goes first.
"""
