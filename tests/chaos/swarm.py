"""Random sequences of faults against one bridge; hypothesis makes a sequence that fails shorter."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.chaos.ground import Ground
from tests.chaos.history import faults, told
from tests.chaos.rig import MIXTURE, Figures
from tests.chaos.stores import FLOW, kill_connections
from tests.proxy import proxy

LONGEST = 8  # faults of a sequence
PAUSE = 0.3  # seconds between two, at most


def swarm(ground: Ground) -> Figures:
    """Sequences of faults on the way to the store and on that of some clients, under a steady flow."""
    with ground.rig(proxied=True, retry_after=5) as rig:
        back = rig.between
        assert back is not None
        rig.know(*MIXTURE)
        with contextlib.ExitStack() as stack:
            bridge = stack.enter_context(rig.bridge())
            front = stack.enter_context(proxy(bridge.port))
            stack.enter_context(rig.watched())
            stack.enter_context(rig.watched(number=2, port=front.port))
            actions: dict[str, Callable[[], object]] = {
                "cut": back.cut,
                "reset": back.reset,
                "reply lost": back.lose_reply,
                "silent": back.silence,
                "killed by the server": lambda: kill_connections(rig),
                "stalled": back.stall,
                "on again": back.resume,
                "clients cut": front.cut,
                "clients reset": front.reset,
                "clients silent": front.silence,
                "clients stalled": front.stall,
                "clients on again": front.resume,
                "PHP killed": rig.kill_php,
            }
            tried = 0

            def attempt(steps: list[tuple[str, float]]) -> None:
                nonlocal tried
                tried += 1
                since = rig.jobs
                with rig.flow(FLOW):
                    for name, pause in steps:
                        time.sleep(pause)  # the moment is random, nothing is waited for
                        actions[name]()
                back.resume()
                front.resume()
                front.reset()  # who was silenced comes back
                rig.drained()
                found = faults(rig.history(since=since))
                assert not found, f"{told(found)}\nafter {steps}"

            step = st.tuples(st.sampled_from(sorted(actions)), st.floats(0, PAUSE))
            how = settings(
                max_examples=ground.trials,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate, Phase.shrink],
            )
            sequences = st.lists(step, min_size=1, max_size=LONGEST)
            seed(ground.seed)(how(given(sequences)(attempt)))()
            rig.must(bridge.terminate() == 0, "the stop did not end with 0")
        return rig.figures(tried)
