"""Layers, their gradients and Adam for training on CPU, in C++ that is compiled here when it is first needed."""
