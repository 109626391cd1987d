"""The apps that are served, while bridge runs: those of the settings, those of a database table, changes.

settings.apps() ─┐
                 ├─► read_apps ──► Renewal ──► node.serve, webhooks.serve
table ───────────┘                   ▲
                         SIGHUP, and every interval of the table
"""
