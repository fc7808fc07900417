"""Convolutions for training on CPU, in C++ that is compiled on this machine when it is first needed."""
