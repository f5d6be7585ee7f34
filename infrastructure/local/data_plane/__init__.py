"""The data plane: functions run, requests reach them and events find them.

One process (`python -m infrastructure.local.data_plane`) holds the gateway, the Invoke API and the
event sources on one event loop; a fork server beside it makes one process per environment.
"""
