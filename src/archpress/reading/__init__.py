"""Nets of others, read: a module, a program, an ONNX file, or a name becomes an `Architecture`.

`sources` knows what a user may name as NET; `tracing` reads modules, `exported` .pt2 files,
`onnx_files` .onnx files, `state_dicts` weights.
"""
