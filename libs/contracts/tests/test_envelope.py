"""The envelope survives Kafka's headers, whatever is in it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.messages import Envelope, Position, format_positions, parse_positions

WORD = st.text(st.characters(codec="utf-8", exclude_characters="/,\x00"), min_size=1, max_size=20)
NUMBER = st.integers(0, 2**62)
SMALL = st.integers(0, 2**31 - 1)
POSITIONS = st.lists(st.builds(Position, WORD, NUMBER, NUMBER), max_size=4).map(tuple)
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def envelopes(draw) -> Envelope:
    stream = draw(st.one_of(st.just(""), WORD))
    reply_to = draw(st.one_of(st.just(""), WORD))
    optional = st.one_of(st.just(""), WORD)
    return Envelope(
        id=draw(WORD),
        type=draw(WORD),
        source=draw(WORD),
        time=draw(MOMENTS),
        project_id=draw(WORD),
        subject=draw(optional),
        correlation_id=draw(optional),
        causation_id=draw(optional),
        stream=stream,
        stream_version=draw(SMALL) if stream else 0,
        position=draw(NUMBER) if stream else 0,
        reply_to=reply_to,
        reply_partition=draw(SMALL) if reply_to else 0,
        idempotency_key=draw(optional),
        fingerprint=draw(optional),
        after=draw(POSITIONS),
    )


@given(envelopes())
def test_headers_give_back_the_envelope(envelope):
    assert Envelope.from_headers(envelope.to_headers()) == envelope


@given(envelopes())
def test_headers_are_cloudevents(envelope):
    headers = dict(envelope.to_headers())
    assert headers["ce_specversion"] == b"1.0"
    assert headers["content-type"] == b"application/json"
    assert {"ce_id", "ce_type", "ce_source", "ce_time"} <= set(headers)
    assert all(name == name.lower() for name in headers)
    assert len(headers) == len(envelope.to_headers())
    assert b"" not in headers.values()


@given(POSITIONS)
def test_positions_survive_a_header(positions):
    assert parse_positions(format_positions(positions)) == positions


@pytest.mark.parametrize("text", ["ledger", "ledger/1", "ledger/1/2/3", "ledger/x/1", "a/1/2,b"])
def test_malformed_positions_are_refused(text):
    with pytest.raises(ValueError):
        parse_positions(text)


@pytest.mark.parametrize("missing", ["ce_id", "ce_type", "ce_project"])
def test_a_missing_attribute_is_named(missing):
    envelope = Envelope("1", "t", "s", datetime(2026, 1, 1, tzinfo=UTC), "p")
    headers = [(name, value) for name, value in envelope.to_headers() if name != missing]
    with pytest.raises(ValueError, match=f"header {missing} is missing"):
        Envelope.from_headers(headers)


def test_a_stranger_needs_only_three_headers():
    headers = [("ce_id", b"1"), ("ce_type", b"t"), ("ce_project", b"p"), ("theirs", b"x")]
    read = Envelope.from_headers(headers)
    assert (read.id, read.type, read.project_id) == ("1", "t", "p")
    assert read.time == datetime(1970, 1, 1, tzinfo=UTC)
    assert read.after == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_time", b"noon"),
        ("ce_streamversion", b"x"),
        ("ce_position", b""),
        ("ce_after", b"x"),
        ("ce_id", b"\xff"),
    ],
)
def test_a_malformed_attribute_is_refused(name, value):
    headers = {"ce_id": b"1", "ce_type": b"t", "ce_project": b"p", name: value}
    with pytest.raises(ValueError):
        Envelope.from_headers(headers.items())


def test_a_time_without_zone_is_utc():
    headers = [("ce_id", b"1"), ("ce_type", b"t"), ("ce_project", b"p")]
    read = Envelope.from_headers([*headers, ("ce_time", b"2026-01-31T12:00:00")])
    assert read.time == datetime(2026, 1, 31, 12, tzinfo=UTC)


SOUND = [("ce_id", b"1"), ("ce_type", b"t.v1"), ("ce_project", b"p")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_position", b"99999999999999999999"),
        ("ce_position", b"-1"),
        ("ce_position", "\u0663".encode()),
        ("ce_streamversion", b"2147483648"),
        ("ce_replypartition", b"1e3"),
        ("ce_project", b"p\x00"),
        ("ce_stream", b"s" * 1001),
    ],
)
def test_what_no_column_can_hold_is_no_envelope(name, value):
    with pytest.raises(ValueError, match=name):
        Envelope.from_headers([*SOUND, (name, value)])


def test_headers_of_others_may_be_anything():
    assert Envelope.from_headers([*SOUND, ("trace", b"\xff\x00")]).id == "1"
