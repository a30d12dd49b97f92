"""KNOWS: model files and this machine. No native code: files are read by our own bounded reader.

gguf/          bounded reader of GGUF headers, and the checks that llama.cpp leaves to its assertions; a writer
convert/       GGUF files of sentence embedders' original weights
detect         what a model is and can do, from its header
families       which family a header belongs to
profiles       per-family sampling, stop strings, dialect, context
chat_formats   the families' chat formats as short templates of our own
template       a conversation into a prompt, by the model's own template
sandbox        Jinja with limits on time, steps and sizes
control_text   control tokens that people spell, kept from becoming ones
hardware       cores, memory, GPUs of this machine
memory         what a model will take
relayout       which weights are faster in another layout, and a copy of a file with them
copies         such copies in the store: found, made, checked
fit            the context, threads and layers that fit, and what was given up
store          the user's model folder: checksums, locks, atomic adds
sources/       hf, pypi, https, file, and what is converted after it came from one of them
catalog        names with known checksums
"""
