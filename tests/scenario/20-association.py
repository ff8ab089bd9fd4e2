#!/usr/bin/env python3
"""TS-0003 8.2.2, 10.1, 10.2: which handshakes make a security association, and which do not."""
import os
import secrets
import ssl

import site as _  # noqa: F401  (the standard module; ours is loaded below)
