"""Arguments in, events printed: the answer to stdout, everything else to stderr, an exit status at the end.

main       the parser and what becomes of errors; each command is a file with `add_to` and `perform`
run        one request, one answer
chat       a conversation (talking: the session, prompting: reading messages)
models     list, pull, show, verify, rm, default (fetching: pulls with progress)
evaluate   eval: a model measured on a benchmark
doctor     what this machine and this installation can do
printing   events as a person sees them
exits      exit statuses by kind of error
process    one asynchronous command in one process: signals

Importing these imports no room and no heavy library; a command does so when it is chosen.
"""
