"""Writing files so that nothing is lost, reading files so that nothing can hurt.

=========  ==================================================================================
`atomic`   `atomic_write`, the only place of the library that writes a file: a reader, a crash
           or a full disk sees the old content or the new one, never a mixture
`limits`   sizes are compared with what is really there *before* memory is taken, names stay
           inside their folder
`npz`      arrays in and out of ``.npz`` files; no pickle is ever loaded
=========  ==================================================================================
"""

from .atomic import atomic_write, check_writable, remove_orphans
from .limits import (
    DEFLATE_RATIO,
    MAX_FILE,
    MAX_PIXELS,
    check_image_header,
    check_member_name,
    read_limited,
    safe_join,
)
from .npz import npz_bytes, parse_npz, read_npz

__all__ = ["atomic_write", "check_writable", "remove_orphans", "read_limited", "safe_join",
           "check_member_name", "check_image_header", "npz_bytes", "parse_npz", "read_npz",
           "MAX_PIXELS", "MAX_FILE", "DEFLATE_RATIO"]
