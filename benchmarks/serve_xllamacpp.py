"""Starts llama.cpp's server from the package xllamacpp:
`PYTHON serve_xllamacpp.py MODEL PORT THREADS SLOTS CONTEXT`.

Needs nothing else of this repository: it runs with the interpreter that the peers are installed for.
"""

import sys

import xllamacpp


def main() -> None:
    path, port, threads, slots, context = sys.argv[1:]
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.port = int(port)
    params.cpuparams.n_threads = int(threads)
    params.n_parallel = int(slots)
    params.n_ctx = int(context)
    params.n_batch = params.n_ubatch = 512
    params.n_gpu_layers = 0
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()  # until whoever started this closes the pipe


if __name__ == "__main__":
    main()
