"""Rows in which the way between bridge and its clients fails under a steady flow."""

from __future__ import annotations

import time

from tests.chaos.ground import Ground
from tests.chaos.rig import MIXTURE, Figures
from tests.proxy import proxy


def between_clients_and_bridge(ground: Ground) -> Figures:
    """Connections of clients are closed, reset, silenced, stalled, slowed: no socket has a hole or a double,
    and a client that nothing happens to notices nothing of it."""
    with ground.rig() as rig:
        rig.know(*MIXTURE)
        with rig.bridge() as bridge, proxy(bridge.port) as between, rig.watched() as [steady]:
            with rig.watched(number=3, port=between.port, only=rig.serving):
                rig.there()
                with rig.flow(100):
                    for number in range(ground.trials):
                        time.sleep(rig.chance.uniform(0, 0.5))  # the moment is random
                        match number % 5:
                            case 0:
                                between.cut()
                            case 1:
                                between.reset()
                            case 2:
                                between.silence()
                                time.sleep(rig.chance.uniform(0, 0.5))
                                between.reset()
                            case 3:
                                between.stall()
                                time.sleep(rig.chance.uniform(0, 1))
                                between.resume()
                            case 4:
                                between.slow(50_000)
                                time.sleep(rig.chance.uniform(0, 1))
                                between.slow(0)
                rig.drained()
            rig.must(len(steady.sockets) == 1, "a client that nothing happened to was let go of")
            rig.must(bridge.terminate() == 0, "the stop did not end with 0")
            return rig.figures(ground.trials)
