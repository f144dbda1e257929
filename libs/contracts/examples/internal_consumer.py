# ruff: noqa: INP001, T201 - a script, to be copied
"""An internal consumer prints every new order. Needs aiokafka and tessera-contracts, nothing else."""

import asyncio
import os

from aiokafka import AIOKafkaConsumer

from contracts import topics
from contracts.customers import OrderCreated
from contracts.messages import Envelope


async def main() -> None:
    """Read the log of customers from its beginning, for ever."""
    topic = os.environ.get("TOPIC_PREFIX", "") + topics.events("customers")
    async with AIOKafkaConsumer(
        topic,
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        auto_offset_reset="earliest",
    ) as records:
        async for record in records:
            envelope = Envelope.from_headers(record.headers)
            if envelope.type == OrderCreated.TYPE:
                order = OrderCreated.from_json(record.value).order
                print(envelope.project_id, order.source_id, order.amount, flush=True)


asyncio.run(main())
