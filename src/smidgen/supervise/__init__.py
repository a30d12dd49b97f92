"""GUARDS: worker processes. Starts them, watches their progress, kills and replaces them; never restarts requests.

frames      the parent's end of the socket: frames in, messages out
child       one process: spawn, limits, stderr ring, kill group, exit report
plan        pure: state and events in, one action out (start, wait, kill, restart after a delay, give up)
reports     crash reports: a bounded folder of JSON files
supervisor  performs the plan's actions and hands messages to the engine
"""
