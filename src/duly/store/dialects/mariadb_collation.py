"""How MariaDB and MySQL compare Duly's texts."""

from __future__ import annotations


def collation(is_mariadb: bool) -> str:
    """Byte by byte, a space at the end included."""
    return "utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_bin"
