"""GGUF files made from a model's original weights, by code of our own: no PyTorch, nothing in them is executed.

`bert.convert(source, target, report)` writes the GGUF of a BERT sentence embedder that lies in a folder or a zip
archive: config.json, a tokenizer and safetensors.

package      the files of a model in a folder or a zip archive, read with bounds
safetensors  bounded reader of safetensors
wordpiece    the vocabulary of a BERT tokenizer, in llama.cpp's spelling
quantize     weights as F16 or in blocks of 8 bits, from numbers or from blocks of 5 bits
bert         configuration, names and weights of BERT into GGUF
"""
