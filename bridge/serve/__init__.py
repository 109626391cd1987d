"""`bridge serve`: wires the two houses together, starts, reloads, drains and stops them.

    wiring             builds the parts of both houses from the settings
    daemon             starts, drains and stops them; `threads` runs the workers, `attempt` a batch of jobs
    reload             what SIGHUP and every interval of `apps_table` change, while clients stay connected
    monitors           what looks on; `dashboard_backend` is what the dashboard asks of an app
    shadow             `bridge serve --shadow`

settings.apps() ─┐
                 ├─► read_apps ──► Renewal ──► node.serve, webhooks.serve
apps_table ──────┘                   ▲
                         SIGHUP, and every interval of the table
"""
