"""OpenVINO on CPUs: everyone's next token in one step, in a process of its own."""
