"""Every row of docs/chaos.md: what it does, when, on which stores, and how.

Tier C runs in `make test`, tier N by `make chaos`. A row is a fault that is injected (`run`), ordinary tests
(`tests`), or both; `make chaos ROW=F-06` runs all with this id. What cannot be tried here is in
UNTRIED, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tests.chaos import (
    crashes,
    deploys,
    lab,
    nodes,
    returns,
    rolls,
    soak,
    sockets,
    stops,
    stores,
    swarm,
    upsets,
    waiting,
)
from tests.chaos.ground import Run
from tests.end_to_end.stores import STORES, StoreName

Tier = Literal["C", "N"]
SERVERS: tuple[StoreName, ...] = ("mariadb", "postgres", "redis")
SQL: tuple[StoreName, ...] = ("mariadb", "postgres")
BUS: tuple[StoreName, ...] = ("sqlite",)  # of the queue; the bus is a Redis of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    does    what happens, for people; together with the id, it is the row's name
    trials  on each store, by `make chaos` unless it says another number
    small   store → trials of `make test`
    tests   node ids of pytest
    takes   about how long, where that is long
    """

    id: str
    tier: Tier
    does: str
    run: Run | None = None
    stores: tuple[StoreName, ...] = STORES
    trials: int = 20
    small: Sequence[tuple[StoreName, int]] = ()
    tests: tuple[str, ...] = ()
    takes: str = ""


QUEUE = "tests/jobs/queue/test_queue.py::test_"
REDIS = "tests/jobs/queue/redis/test_driver.py::test_"
PORTION = "tests/jobs/queue/test_portion.py::test_"
PHP = "tests/jobs/resolve/test_php.py::test_"
LOOP = "tests/jobs/worker/test_loop.py::test_"
SOCKET = "tests/sockets/server/test_socket.py::test_"
API = "tests/sockets/server/test_api.py::test_"
NODE = "tests/sockets/server/test_node.py::test_"
HOSTILE = "tests/sockets/server/test_hostile.py::test_"
CONNECTION = "tests/sockets/pusher/test_connection.py::test_"
SIGNATURES = "tests/sockets/pusher/test_signatures.py::test_"
RESERVATIONS = "tests/end_to_end/test_reservations.py::test_"
CLUSTER = "tests/sockets/cluster/test_cluster.py::test_"
RESUME = "tests/sockets/pusher/test_resume.py::test_"
SUPERVISION = "tests/end_to_end/test_supervision.py::test_"
SIGNALS = "tests/end_to_end/test_signals.py::test_"

ROWS: tuple[Row, ...] = (
    # ---- the queue, and processes
    Row(
        id="F-01",
        tier="N",
        does="kill -9 at a random moment of a steady flow",
        run=crashes.random_kills,
        trials=200,
    ),
    Row(id="F-02", tier="N", does="kill -9 at each named point", run=crashes.named_points, trials=2),
    Row(
        id="F-03",
        tier="C",
        does="kill -9 between fan-out and delete",
        run=crashes.before_the_delete,
        small=(("sqlite", 1),),
    ),
    Row(
        id="F-04", tier="N", does="SIGSTOP beyond retry_after; a second bridge takes over", run=waiting.frozen
    ),
    Row(id="F-05", tier="N", does="the store is killed, stopped, refuses", run=stores.away, stores=SERVERS),
    Row(
        id="F-06",
        tier="C",
        does="connections to the store are closed, reset, killed by it",
        run=stores.cut,
        stores=SERVERS,
        small=(("postgres", 6), ("redis", 6)),
    ),
    Row(
        id="F-07",
        tier="C",
        does="replies of the store are lost",
        run=stores.reply_lost,
        stores=SERVERS,
        small=(("mariadb", 5),),
    ),
    Row(
        id="F-07",
        tier="N",
        does="the way to the store stalls or is slow, the store is stopped",
        run=stores.stalled,
        stores=SERVERS,
    ),
    Row(
        id="F-08",
        tier="N",
        does="connections to the store fall silent",
        run=stores.half_open,
        stores=SERVERS,
        tests=("tests/jobs/queue/test_silence.py",),
    ),
    Row(id="F-09", tier="N", does="the table or its rows are locked", run=stores.locked, stores=SQL),
    Row(
        id="F-10",
        tier="C",
        does="SQLite is locked",
        run=stores.sqlite_locked,
        stores=("sqlite",),
        small=(("sqlite", 1),),
    ),
    Row(
        id="F-11", tier="N", does="SQLite's disk is full (as root)", run=stores.disk_full, stores=("sqlite",)
    ),
    Row(
        id="F-12",
        tier="N",
        does="Redis becomes a replica",
        tests=(
            f"{REDIS}a_replica_is_unavailable_until_it_is_primary_again",
            "tests/infrastructure/test_sentinel.py::test_a_failover_is_followed_and_no_job_is_lost",
        ),
    ),
    Row(
        id="F-13",
        tier="N",
        does="Redis: paused, busy, out of memory, without scripts, read-only",
        run=stores.redis_hardships,
        stores=("redis",),
    ),
    Row(
        id="F-14",
        tier="C",
        does="exact bytes of any entry",
        tests=(
            f"{REDIS}any_payload_is_released_and_deleted_by_its_exact_bytes",
            f"{REDIS}every_recorded_entry_is_reserved_and_deleted_or_stays_as_it_is",
        ),
    ),
    Row(
        id="F-15",
        tier="C",
        does="kill -9 when a notice is taken and its job is not",
        run=crashes.after_a_notice,
        stores=("redis",),
        small=(("redis", 1),),
    ),
    Row(
        id="F-16",
        tier="C",
        does="delayed and expired jobs, and no Laravel worker",
        tests=(
            f"{QUEUE}a_delayed_job_comes_when_it_is_due",
            f"{QUEUE}a_reserved_job_comes_again_after_retry_after_with_one_more_attempt",
            f"{REDIS}due_jobs_of_others_are_migrated_with_their_tokens",
        ),
    ),
    Row(
        id="F-19",
        tier="C",
        does="an event that kills bridge, among good ones",
        run=waiting.poison,
        tests=(f"{RESERVATIONS}what_kills_its_worker_takes_nobody_along",),
    ),
    Row(
        id="F-20",
        tier="N",
        does="two bridges and queue:work, 500 events a trial",
        run=waiting.all_three,
    ),
    Row(id="F-21", tier="N", does="an hour with all parts at work", run=soak.soak, trials=60),
    Row(
        id="F-23",
        tier="C",
        does="batches slower than retry_after: one bridge",
        run=waiting.one_bridge,
        tests=(f"{RESERVATIONS}a_batch_that_takes_longer_than_retry_after_is_sent_once",),
    ),
    Row(
        id="F-23",
        tier="C",
        does="batches slower than retry_after: two bridges",
        run=waiting.two_bridges,
        tests=(f"{RESERVATIONS}two_bridges_send_no_socket_an_event_twice",),
    ),
    Row(
        id="F-23",
        tier="C",
        does="batches slower than retry_after: beside queue:work",
        run=waiting.beside_queue_work,
        tests=(f"{RESERVATIONS}beside_queue_work_no_socket_gets_an_event_twice",),
    ),
    Row(
        id="F-24",
        tier="N",
        does="pause, maintenance, queue:restart, SIGHUP",
        tests=(
            f"{SIGNALS}no_job_is_taken_in_maintenance_mode",
            f"{SIGNALS}a_restart_signal_brings_a_new_configuration_while_clients_stay",
            f"{SIGNALS}a_broken_configuration_after_queue_restart_leaves_the_old_one",
            f"{QUEUE}a_paused_queue_keeps_its_jobs_until_it_is_not_paused_any_more",
        ),
    ),
    Row(
        id="deploy",
        tier="N",
        does="amid a deploy: .env, classes, the app's boot away; PHP killed",
        run=deploys.amid_a_deploy,
        tests=("tests/end_to_end/test_deploys.py",),
    ),
    Row(
        id="F-25",
        tier="C",
        does="unique events, hooks, missing models",
        tests=(
            f"{SIGNALS}a_unique_event_of_laravel_9_is_delivered_and_may_be_dispatched_again",
            f"{PHP}what_follows_an_exception_is_laravels_to_say_by_tries_and_backoff",
            f"{PHP}listeners_of_the_app_see_the_job",
            "tests/jobs/resolve/test_unique.py",
        ),
    ),
    Row(
        id="F-26",
        tier="C",
        does="PHP hangs",
        tests=(f"{PHP}a_late_process_is_killed_with_what_it_started", f"{PHP}close_ends_a_job_at_work"),
    ),
    Row(
        id="F-27",
        tier="C",
        does="PHP exits, dies, crashes again and again",
        tests=(
            f"{PHP}a_job_that_ends_its_process_is_tried_again_once_and_harms_no_other",
            f"{PHP}processes_killed_at_random_lose_no_job_and_mix_none_up",
            f"{PHP}after_five_crashes_in_a_row_there_is_a_pause_before_the_next_start",
        ),
    ),
    Row(
        id="F-28",
        tier="C",
        does="PHP prints garbage",
        tests=(f"{PHP}what_the_app_prints_does_not_disturb_and_is_logged_up_to_64_kib",),
    ),
    Row(
        id="F-29",
        tier="C",
        does="PHP answers amiss",
        tests=(f"{PHP}a_process_that_answers_amiss_is_ended_and_its_job_tried_again",),
    ),
    Row(
        id="F-30",
        tier="N",
        does="PHP leaks",
        tests=(
            f"{PHP}a_process_that_leaks_is_replaced_between_jobs",
            f"{PHP}a_process_is_replaced_after_its_share_of_jobs",
        ),
    ),
    Row(id="F-31", tier="N", does="SIGTERM under load", run=stops.under_load, trials=100),
    Row(id="F-31", tier="N", does="SIGTERM while PHP hangs", run=stops.while_php_hangs),
    Row(
        id="F-32",
        tier="N",
        does="SIGTERM twice, during the start; SIGINT, SIGHUP storms",
        run=stops.signals,
        trials=5,
        tests=(f"{RESERVATIONS}no_php_process_outlives_bridge",),
    ),
    Row(
        id="F-35",
        tier="C",
        does="the store is away at the start",
        tests=("tests/cli/test_cli.py::test_a_store_that_does_not_answer_exits_with_69_in_time",),
    ),
    Row(
        id="F-33",
        tier="N",
        does="a restart with a kept listener",
        run=rolls.restart,
        stores=BUS,
        trials=3,
        tests=("tests/end_to_end/test_restarts.py",),
    ),
    Row(
        id="F-33",
        tier="N",
        does="a restart with a kept listener under very many light clients",
        run=rolls.restart_under_very_many,
        stores=BUS,
        trials=3,
    ),
    Row(
        id="F-34",
        tier="N",
        does="reload of two processes under many clients",
        run=rolls.roll,
        stores=BUS,
    ),
    Row(
        id="F-34",
        tier="N",
        does="reload of two processes under many clients that resume",
        run=rolls.roll_with_resume,
        stores=BUS,
    ),
    Row(
        id="F-36",
        tier="N",
        does="the bus of one of two nodes is away for 1 to 59 s",
        run=nodes.bus_cut,
        stores=BUS,
        trials=4,
        tests=(
            f"{CLUSTER}what_was_published_while_a_link_was_cut_comes_once_and_in_order",
            f"{CLUSTER}jobs_that_meet_a_lost_link_go_out_once_and_in_order",
            f"{CLUSTER}a_lost_message_is_noticed_by_the_next_and_fetched",
            f"{CLUSTER}while_redis_is_away_jobs_wait_and_all_else_is_delivered_later",
        ),
    ),
    Row(
        id="F-37",
        tier="N",
        does="the bus of one of two nodes is away for longer than it keeps events",
        run=nodes.bus_cut_for_long,
        stores=BUS,
        trials=4,
        tests=(
            f"{CLUSTER}a_hole_that_cannot_be_filled_is_announced",
            f"{CLUSTER}redis_that_lost_everything_floods_nobody",
        ),
    ),
    Row(
        id="F-38",
        tier="N",
        does="Redis closes the link of a node that reads slowly",
        run=nodes.cut_for_slowness,
        stores=BUS,
    ),
    Row(
        id="F-39",
        tier="N",
        does="one node does not hear the other, or is not heard",
        run=nodes.deaf,
        stores=BUS,
        tests=(f"{CLUSTER}who_left_and_came_while_the_link_was_cut_is_told_afterwards",),
    ),
    Row(
        id="F-40",
        tier="N",
        does="a node dies",
        run=nodes.node_dies,
        stores=BUS,
        tests=(
            f"{CLUSTER}the_members_of_a_dead_node_are_gone_once",
            "tests/end_to_end/test_cluster.py::test_one_that_is_killed_is_taken_out_and_its_jobs_come_again",
        ),
    ),
    Row(
        id="N3",
        tier="N",
        does="random kills of nodes, links and Redis, 200 events/s to three nodes",
        run=nodes.random_kills,
        stores=BUS,
    ),
    Row(
        id="N2",
        tier="C",
        does="connections of clients are closed, reset, silenced, stalled, slowed",
        run=sockets.between_clients_and_bridge,
        small=(("sqlite", 10),),
    ),
    Row(
        id="N1",
        tier="N",
        does="random faults together; a failing sequence is made shorter",
        run=swarm.swarm,
        stores=SERVERS,
    ),
    # ---- machines, and the network between them
    Row(
        id="M-01",
        tier="N",
        does="one of two machines is cut from Redis for 10 s: both ways, one way, the other way (as root)",
        run=lab.cut_for_a_moment,
        stores=BUS,
        trials=6,
        takes="3 minutes",
    ),
    Row(
        id="M-02",
        tier="N",
        does="the same for 130 s, longer than the kernel waits (as root)",
        run=lab.cut_for_long,
        stores=BUS,
        trials=3,
        takes="8 minutes",
    ),
    Row(
        id="M-03",
        tier="N",
        does="a machine loses its power, or its network, without a word to anyone, and comes back (as root)",
        run=lab.power,
        stores=BUS,
        trials=4,
        takes="8 minutes",
    ),
    Row(
        id="M-04",
        tier="N",
        does="the way to Redis takes 30 to 70 ms and loses 1 % of all packets (as root)",
        run=lab.slow_way,
        stores=BUS,
        trials=1,
        takes="2 minutes",
    ),
    Row(
        id="M-05",
        tier="N",
        does="one machine is killed while the other reloads (as root)",
        run=lab.kill_in_a_reload,
        stores=BUS,
        trials=3,
        takes="2 minutes",
    ),
    Row(
        id="M-06",
        tier="N",
        does="Redis stands still for 20 s under two machines (as root)",
        run=lab.redis_stands_still,
        stores=BUS,
        trials=3,
        takes="3 minutes",
    ),
    Row(
        id="M-07",
        tier="N",
        does="Redis is restarted without its data, or emptied, under two machines (as root)",
        run=lab.redis_is_empty,
        stores=BUS,
        trials=4,
        takes="2 minutes",
    ),
    # ---- load
    Row(
        id="L-01",
        tier="N",
        does="many clients lose two processes at once and return",
        run=returns.all_return,
        stores=BUS,
        trials=3,
    ),
    Row(
        id="L-02",
        tier="N",
        does="the same with a private channel and a presence channel of 100 each",
        run=returns.all_return_signed,
        stores=BUS,
        trials=3,
    ),
    Row(
        id="L-04",
        tier="C",
        does="a client that does not read",
        tests=(
            f"{SOCKET}a_client_that_does_not_read_is_cut_with_4100_and_the_others_get_everything",
            f"{SOCKET}a_client_that_reads_again_has_missed_nothing",
        ),
    ),
    Row(
        id="L-06",
        tier="N",
        does="a client that makes no progress",
        tests=(f"{SOCKET}a_client_that_makes_no_progress_is_cut_with_4100",),
    ),
    Row(id="L-07", tier="N", does="slow-loris", tests=("tests/sockets/server/test_http_protocol.py",)),
    Row(id="L-09", tier="C", does="descriptors run out", tests=("tests/sockets/server/test_descriptors.py",)),
    Row(
        id="L-10",
        tier="N",
        does="memory runs out",
        tests=(
            f"{LOOP}where_memory_does_not_suffice_fewer_are_taken",
            f"{PORTION}a_job_that_cannot_be_read_for_want_of_memory_holds_no_other_up",
        ),
    ),
    Row(
        id="L-13",
        tier="C",
        does="large events, batches, many channels",
        tests=(
            f"{API}a_body_that_is_too_large_is_413_and_not_read",
            f"{NODE}data_of_any_size_arrives_whole",
            f"{API}a_batch_is_delivered_in_order_with_its_infos",
        ),
    ),
    Row(
        id="L-16",
        tier="N",
        does="a backlog of large payloads",
        tests=(f"{PORTION}large_payloads_come_a_few_at_a_time",),
    ),
    Row(
        id="L-17",
        tier="C",
        does="a log that nobody reads",
        tests=("tests/end_to_end/test_hardship.py::test_a_log_that_nobody_reads_holds_nothing_up",),
    ),
    # ---- security
    Row(
        id="S-01",
        tier="C",
        does="frames that break the rules",
        tests=(f"{SOCKET}what_breaks_the_rules_is_closed_with_its_code", "tests/sockets/server/rfc6455"),
    ),
    Row(id="S-02", tier="C", does="compression bombs", tests=(f"{SOCKET}compression_is_not_negotiated",)),
    Row(
        id="S-03",
        tier="C",
        does="floods",
        tests=(
            f"{SOCKET}a_flood_of_pings_is_closed_with_4100",
            f"{SOCKET}a_flood_of_fragments_is_closed_with_4100",
            f"{CONNECTION}a_flood_of_messages_ends_the_connection_with_4100",
            f"{CONNECTION}a_reconnect_with_hundreds_of_subscriptions_is_no_flood",
        ),
    ),
    Row(
        id="S-04",
        tier="C",
        does="hostile JSON",
        tests=("tests/sockets/pusher/test_messages.py::test_no_text_makes_the_reader_fail_otherwise",),
    ),
    Row(id="S-05", tier="C", does="hostile channel names", tests=("tests/sockets/pusher/test_channels.py",)),
    Row(
        id="S-06",
        tier="C",
        does="wrong signatures",
        tests=(
            f"{SIGNATURES}no_text_passes_for_a_signature",
            f"{SIGNATURES}another_key_or_signature_is_refused",
            f"{CONNECTION}a_signature_holds_for_one_socket_only",
        ),
    ),
    Row(
        id="S-08",
        tier="C",
        does="API: old, changed, doubled, unsigned requests",
        tests=(
            f"{SIGNATURES}the_clock_may_differ_by_ten_minutes_either_way",
            f"{SIGNATURES}a_parameter_given_twice_is_refused",
            f"{API}every_endpoint_asks_for_the_signature",
            f"{HOSTILE}the_md5_of_another_body_does_not_pass",
        ),
    ),
    Row(
        id="S-10",
        tier="C",
        does="forged presence",
        tests=(
            f"{CONNECTION}bad_channel_data_is_a_subscription_error",
            f"{CONNECTION}a_client_event_on_a_presence_channel_names_its_sender_whatever_the_client_says",
        ),
    ),
    Row(
        id="S-11",
        tier="C",
        does="client events that may not be",
        tests=(
            f"{CONNECTION}client_events_are_refused_on_other_kinds_of_channels",
            f"{CONNECTION}a_client_event_from_outside_the_channel_is_refused",
            f"{CONNECTION}the_eleventh_client_event_in_a_second_is_refused",
        ),
    ),
    Row(id="S-12", tier="C", does="foreign origins", tests=("tests/sockets/pusher/test_app.py",)),
    Row(
        id="S-13",
        tier="C",
        does="hostile HTTP",
        tests=("tests/sockets/server/test_hostile.py", "tests/sockets/server/test_framing.py"),
    ),
    Row(id="S-14", tier="C", does="forged proxies", tests=("tests/sockets/server/test_trusted_proxies.py",)),
    Row(
        id="S-16",
        tier="C",
        does="ids of pages that are foreign, guessed, too long, or a million",
        tests=(
            f"{RESUME}the_path_tells_which_page_connects",
            f"{RESUME}who_only_says_that_it_comes_back_gets_no_history",
            f"{RESUME}without_a_right_nothing_is_replayed",
            f"{RESUME}two_living_pages_with_one_id_exclude_only_themselves",
            f"{RESUME}sessions_without_a_connection_are_bounded",
            f"{RESUME}positions_of_all_who_are_away_are_bounded",
            "tests/sockets/cluster/test_resume.py::"
            "test_a_page_that_comes_with_other_channels_each_time_is_forgotten",
        ),
    ),
    Row(id="S-17", tier="C", does="log injection", tests=("tests/cli/test_logs.py", "tests/test_plain.py")),
    Row(
        id="S-18",
        tier="C",
        does="secrets in any output",
        tests=(
            "tests/cli/test_cli.py::test_no_secret_is_written_while_it_serves",
            "tests/settings/test_settings.py::test_no_secret_shows_in_any_repr_or_error",
        ),
    ),
    Row(
        id="S-19",
        tier="C",
        does="forged messages on the bus",
        tests=(f"{CLUSTER}nothing_that_is_not_ours_is_delivered",),
    ),
    # ---- fuzzing
    Row(
        id="S-16",
        tier="C",
        does="the resume id in the path: another page's, an unknown one, many of them, without a right",
        tests=(
            f"{RESUME}the_path_tells_which_page_connects",
            f"{RESUME}without_a_right_nothing_is_replayed",
            f"{RESUME}a_position_in_a_presence_channel_is_its_users",
            f"{RESUME}two_living_pages_with_one_id_exclude_only_themselves",
            f"{RESUME}who_only_says_that_it_comes_back_gets_no_history",
            f"{RESUME}sessions_without_a_connection_are_bounded",
            f"{RESUME}positions_of_all_who_are_away_are_bounded",
        ),
    ),
    Row(id="Z-02", tier="C", does="PHP's serialization, any bytes", tests=("tests/fuzz/test_fuzz.py",)),
    Row(
        id="Z-06",
        tier="C",
        does="every split of frames",
        tests=(f"{SOCKET}a_frame_split_at_any_byte_is_read", f"{SOCKET}frames_byte_by_byte_are_read"),
    ),
    Row(id="Z-13", tier="C", does="every recorded payload", tests=("tests/conformance/test_payloads.py",)),
    # ---- operation
    Row(
        id="O-01",
        tier="C",
        does="bridge doctor on broken configurations",
        tests=("tests/doctor/test_doctor.py",),
    ),
    Row(
        id="O-03",
        tier="C",
        does="what the service manager is told, where it listens, where it does not, where it does not read",
        tests=("tests/serve/test_notify.py",),
    ),
    Row(
        id="O-04",
        tier="C",
        does="sockets of the service manager: one, two, a Unix socket, names, a wrong count, another's",
        tests=("tests/sockets/server/test_binding.py",),
    ),
    Row(
        id="O-05",
        tier="C",
        does="the unit files, as systemd reads them, and their filter of system calls",
        tests=(
            f"{SUPERVISION}systemd_finds_no_fault_in_the_unit",
            f"{SUPERVISION}a_job_of_the_app_survives_the_filter_of_the_unit",
        ),
    ),
    Row(id="O-06", tier="N", does="supervisor", tests=("tests/end_to_end/test_supervision.py",)),
    Row(id="O-11", tier="C", does="SIGHUP", tests=("tests/serve/test_reload.py",)),
    Row(id="O-12", tier="C", does="every close code", tests=("tests/sockets/server/test_codes.py",)),
    Row(
        id="O-15",
        tier="N",
        does="the last release and this version on one bus; forth and back",
        run=nodes.upgrade,
        stores=BUS,
        trials=3,
    ),
    # ---- what the contract does not name
    Row(
        id="X-01",
        tier="N",
        does="a migration renames the jobs table, and back",
        run=upsets.table_renamed,
        stores=("sqlite", *SQL),
    ),
    Row(
        id="X-02",
        tier="N",
        does="the server is read-only for a while",
        run=upsets.read_only,
        stores=("postgres",),
    ),
    Row(
        id="X-03",
        tier="N",
        does="a failover loses the last deletes",
        run=upsets.back_in_time,
        stores=("redis",),
    ),
    Row(
        id="X-04",
        tier="N",
        does="PHP processes are stopped (SIGSTOP) and stay so",
        run=upsets.php_stands_still,
        trials=2,
    ),
    Row(
        id="X-05",
        tier="N",
        does="the disk of state_path is full (as root)",
        run=upsets.no_room_for_state,
        trials=5,
    ),
    Row(id="X-06", tier="N", does="retry_after of one second", run=upsets.short_retry_after, trials=10),
    # ---- the kit itself
    Row(
        id="T-00",
        tier="C",
        does="the checker fails on doctored histories; the proxy does what it says",
        tests=(
            "tests/chaos/test_history.py",
            "tests/chaos/test_pages.py",
            "tests/test_proxy.py",
            "tests/chaos/test_network.py",
        ),
    ),
)

UNTRIED: dict[str, str] = {
    "F-17, a clock that is wrong": "bridge goes by its own clock; `bridge doctor` names one that goes wrong",
    "F-18, a clock that jumps": "libfaketime breaks sleeping itself; all waits are on the monotonic clock",
    "F-22, a million rows": "`make bench`",
    "storms of ten thousand clients": "`make bench`",
    "mutated input": "`make fuzz`, `make oracle`, the cases of RFC 6455 in `make test`",
    "other faults of operation": "in `make test` and `make test-all`, without rows of their own",
    "other loads and attacks on the server": "no rows of their own yet",
}


def rows(id: str) -> tuple[Row, ...]:
    """All with this id; LookupError with those there are, if there is none."""
    found = tuple(row for row in ROWS if row.id == id)
    if not found:
        raise LookupError(
            f"no row is called {id}: there are {', '.join(dict.fromkeys(row.id for row in ROWS))}"
        )
    return found
