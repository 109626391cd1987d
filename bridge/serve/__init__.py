"""`bridge serve`: wires jobs and sockets together, starts, reloads, drains and stops them.

    wiring             builds the parts of both halves from the settings
    destinations       which app here a call of Laravel's broadcaster goes to
    daemon             starts, drains and stops both; `lifecycle` is what it shares with shadow
    threads            the workers; `attempt` is a batch of jobs, `deployment` what a deploy changes for it
    reconnect_gate     jobs wait after a restart until former clients have reconnected
    reload             what SIGHUP and every interval of `apps_table` change, while clients stay connected
    monitors           metrics, statistics, alerts; `dashboard_backend` is what the dashboard asks of an app
    shadow             `bridge serve --shadow`
    parent             of `bridge serve --processes`: holds the port, watches, replaces and stops the others;
                       `spawner` starts them, `child` is its other side, `inheritance` what goes over,
                       `counts` what all share, `siblings` what they ask each other; `handover` makes it a
                       new version of itself
    running            which process serves, for `bridge reload`; `notify` what is sent to systemd

settings.apps() ─┐
                 ├─► read_apps ──► Reloader ──► node.serve, webhooks.serve
apps_table ──────┘                    ▲
                          SIGHUP, and every interval of the table
"""
