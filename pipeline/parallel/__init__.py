"""Many devices, and many processes, that train as one."""
