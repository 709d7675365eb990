"""Nets of others, read: a module, a program, an ONNX file, or a name becomes an `Architecture`.

`sources` knows what a user may name as NET, `tracing` reads modules, `onnx_files` files.
"""
