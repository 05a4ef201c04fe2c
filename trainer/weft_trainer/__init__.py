"""Trains models that Weft can register: one ONNX graph and one manifest with metrics and golden vectors."""
