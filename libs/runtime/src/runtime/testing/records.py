"""Records as a consumer fetches them, for tests that call ``take`` themselves."""

from contracts.messages import Envelope, Message, Position
from runtime import clock
from runtime.batches import Place, Record


def record_of(
    message: Message,
    place: Place,
    offset: int,
    *,
    message_id: str,
    after: tuple[Position, ...] = (),
    reply_to: str = "test.replies",
) -> Record:
    """Return the record of a message of project ``p1`` at this place and offset."""
    envelope = Envelope(
        id=message_id,
        type=message.TYPE,
        source="test",
        time=clock.now(),
        project_id="p1",
        reply_to=reply_to,
        after=after,
    )
    return Record(*place, offset, b"", message.to_json(), tuple(envelope.to_headers()))
