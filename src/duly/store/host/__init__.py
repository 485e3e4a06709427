"""Duly inside the host application: its engine, its sessions and its transactions."""
