# ruff: noqa: INP001 - a script, to be copied
"""An upstream system publishes an order. Needs aiokafka and tessera-contracts, nothing else."""

import asyncio
import json
import os

from aiokafka import AIOKafkaProducer

from contracts import topics

ORDER = {
    "source_id": "order-2",
    "items": [{"related_object": "product", "source_id": "mug", "quantity": 2, "price": 1250}],
    "customer": {"source_id": "anna", "email": "anna@shop.example"},
}


async def main() -> None:
    """Publish and wait until Kafka has it."""
    topic = os.environ.get("TOPIC_PREFIX", "") + topics.INTAKE_ORDERS
    project = ("ce_project", os.environ["TESSERA_PROJECT_ID"].encode())
    async with AIOKafkaProducer(bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"]) as kafka:
        await kafka.send_and_wait(
            topic, json.dumps(ORDER).encode(), key=ORDER["source_id"].encode(), headers=[project]
        )


asyncio.run(main())
