"""What no single service's tests can see: that every projection knows every event it may read.

An event that a projection neither folds nor leaves out on purpose stops its stream in production.
"""

from contracts import topics
from contracts.messages import TYPES, Event
from runtime import admin
from runtime.consumer import ProjectionConsumer
from runtime.settings import Settings


def test_every_projection_folds_or_ignores_every_event_of_its_topics() -> None:
    unknown = []
    for service in topics.SERVICES:
        for consumer in admin.build_service(service, Settings()).consumers:
            if isinstance(consumer, ProjectionConsumer):
                known = set(consumer.projection.folds) | consumer.projection.ignored_types
                owners = {topic.partition(".")[0] for topic in consumer.topics}
                unknown += [
                    f"{service} does not know {name}"
                    for name, message in TYPES.items()
                    if issubclass(message, Event)
                    and name.partition(".")[0] in owners
                    and name not in known
                ]
    assert not unknown, "\n".join(unknown)
