"""Generative adversarial networks on MindSpore, from training to a MindIR that servers can trust."""

import os

__version__ = "0.1.0"

# MindSpore reads its log level once, when it is imported: errors only, unless the user asked for more.
os.environ.setdefault("GLOG_v", "3")
