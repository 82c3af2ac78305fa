"""Turns checkpoints into GGUF files, and GGUF files into smaller ones.

Its modules import numpy and gguf, so they are imported only by the commands that need them.
"""
