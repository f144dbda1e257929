"""The local stack without a container engine: real Kafka, real Postgres, all services, one machine.

Standard library only, so that it runs with any Python. Everything it makes is under one directory,
on ports that were free when it was made; it stops exactly what it started.
"""

from tessera_stack.infra import Infra, start_infra, stop_infra

__all__ = ["Infra", "start_infra", "stop_infra"]
