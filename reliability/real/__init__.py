"""Real faults: daemons as processes, killed, paused, cut off and given bad certificates, and the judgement of it."""
