"""What Ray Serve says of the replicas, a line of JSON whenever that changes.

    python -m benchmarks.kills.states 127.0.0.1:6379

In a process of its own, since Ray writes to whoever it is connected to.
"""

import json
import sys
import time

import ray
from ray import serve

#: Seconds between two looks.
PAUSE = 0.1


def main(address: str) -> None:
    """Look until the end."""
    ray.init(address, namespace="serve", log_to_driver=False, logging_level="ERROR")
    said = ""
    while True:
        applications = serve.status().applications.values()
        found = [one for app in applications for one in app.deployments.values()]
        states = json.dumps({state: n for one in found for state, n in one.replica_states.items()})
        if states != said:
            print(states, flush=True)
            said = states
        time.sleep(PAUSE)


if __name__ == "__main__":
    main(*sys.argv[1:])
