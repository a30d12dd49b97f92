"""KNOWS: model files and this machine. No native code: files are read by our own bounded reader.

gguf       bounded reader of GGUF headers
detect     family and capabilities from metadata
profiles   per-family sampling, stop strings, dialect, context
template   chat templates, rendered in a sandbox
hardware   cores, memory, GPUs of this machine
fit        what a model will take, and the context and threads that fit
store      the user's model folder: checksums, locks, atomic adds
sources/   hf, pypi, https, file
catalog    names with known checksums
"""
