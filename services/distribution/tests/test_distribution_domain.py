"""What may be asked of distributions and publications; templates. No I/O."""

from datetime import UTC, datetime

import pytest

from contracts.distribution import (
    CreateDistribution,
    Distribution,
    Publish,
)
from contracts.errors import DomainError, InvalidPayload
from distribution import limits, templates
from distribution.domain.distribution import (
    decide_create_distribution,
)
from distribution.domain.publication import check_publish
from distribution.queries import Message
from distribution.sender import compose, parse_smtp_url

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEFINITION = {
    "name": "Abandoned carts",
    "trigger": {"type": "customer.custom_event", "custom_event": {"name": "cart.abandoned"}},
    "campaign_id": "camp_1",
    "join_once": True,
    "message": {"channel": "email", "subject": "Hello", "text": "Your code: {{ voucher.code }}"},
}


def create(state=None, **changes):
    definition = {**DEFINITION, **changes}
    command = CreateDistribution(distribution_id="dist_1", definition=definition)
    return decide_create_distribution(state, command, NOON, templates.check)


def made(**changes) -> Distribution:
    return create(**changes)[0].distribution


@pytest.mark.parametrize(
    ("changes", "at_fault"),
    [
        ({"name": ""}, "name"),
        ({"name": 7}, "name"),
        ({"name": None}, "name"),
        ({"trigger": []}, "trigger"),
        ({"trigger": {"type": "order"}}, "trigger.type"),
        ({"trigger": {"type": "customer.custom_event"}}, "trigger.custom_event"),
        (
            {"trigger": {"type": "customer.custom_event", "custom_event": {"name": " "}}},
            "trigger.custom_event.name",
        ),
        (
            {
                "trigger": {
                    "type": "customer.custom_event",
                    "custom_event": {"name": "x"},
                    "filter": {"junction": "and", "nonsense": {"conditions": {"$is": ["x"]}}},
                }
            },
            "trigger.filter.nonsense",
        ),
        ({"campaign_id": 7}, "campaign_id"),
        ({"join_once": "yes"}, "join_once"),
        ({"active": 1}, "active"),
        ({"message": {"channel": "sms"}}, "message.channel"),
        ({"message": {"channel": "email", "text": "x"}}, "message.subject"),
        ({"message": {"channel": "email", "subject": "x"}}, "message.text"),
        ({"message": {"channel": "email", "subject": "x", "text": "{{"}}, "message.text"),
        ({"message": {"channel": "email", "subject": "x\ny", "text": "x"}}, "message.subject"),
        (
            {"message": {"channel": "email", "subject": "x", "text": "{% include 'x' %}"}},
            "message.text",
        ),
        (
            {"message": {"channel": "email", "subject": "x", "text": "x", "from": "a@b\r\nBcc: c"}},
            "message.from",
        ),
    ],
)
def test_what_is_wrong_is_named(changes, at_fault):
    with pytest.raises(InvalidPayload) as refused:
        create(**changes)
    assert refused.value.prop == at_fault
    assert refused.value.details.startswith(f"{at_fault}: must ")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"campaign": None}, "missing_vouchers"),
        ({"count": 0}, "invalid_payload"),
        ({"count": 51}, "invalid_payload"),
        ({"count": 2, "source_id": "s"}, "too_many_vouchers_requested"),
        ({"customer": {}}, "invalid_payload"),
        ({"customer": {"id": "cust_1", "source_id": 7}}, "invalid_payload"),
        ({"customer": {"id": "cust_1", "metadata": []}}, "invalid_payload"),
        ({"customer": {"id": "cust_1", "name": "\x00"}}, "invalid_payload"),
        ({"metadata": {"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}}}, "invalid_payload"),
    ],
)
def test_publications_that_cannot_be(changes, key):
    command = Publish(
        **{
            "publication_id": "pub_1",
            "customer": {"id": "cust_1"},
            "campaign": "camp_1",
            **changes,
        }
    )
    with pytest.raises(DomainError) as refused:
        check_publish(command)
    assert refused.value.key == key


# -- templates ----------------------------------------------------------------------------------

EVIL = {"customer": {"name": "<script>alert('x')</script>\r\nBcc: all@shop.example"}}


def test_html_is_escaped_whatever_the_template_says():
    for source in (
        "{{ customer.name }}",
        "{{ customer.name | safe }}",
        "{% assign x = customer.name %}{{ x }}",
        "{{ customer.name | escape_once }}",
        "{% capture x %}{{ customer.name }}{% endcapture %}{{ x }}",
        "{% for part in customer %}{{ part }}{% endfor %}",
    ):
        html = templates.render_html(source, EVIL)
        assert "<script>" not in html, source
        assert "&lt;script&gt;" in html, source


def test_text_is_not_escaped():
    assert templates.render_text("{{ a }}", {"a": "x & y"}) == "x & y"


def test_a_subject_is_one_short_line():
    subject = templates.render_subject("{{ customer.name }}\x00\x1b", EVIL)
    assert subject == "<script>alert('x')</script> Bcc: all@shop.example"
    assert len(templates.render_subject("{{ a }}", {"a": "x" * 5000})) == limits.SUBJECT_LENGTH_MAX


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in (1..100000000) %}x{% endfor %}",
        "{% for i in (1..900) %}{% for j in (1..900) %}x{% endfor %}{% endfor %}",
        "{% for i in (1..900) %}" + "x" * 400 + "{% endfor %}",
        "{{ 'x' | no_such_filter }}",
        "{{ 1 | divided_by: 0 }}",
    ],
)
def test_rendering_is_bounded(source):
    with pytest.raises(templates.BadTemplate):
        templates.render_text(source, {})


def test_no_attribute_of_python_is_reached():
    for source in ("{{ a.__class__ }}", "{{ a.__init__.__globals__ }}", "{{ a['__class__'] }}"):
        assert templates.render_text(source, {"a": {"b": 1}}) == ""


def test_deep_templates_are_refused():
    source = "{% if a %}" * 500 + "{% endif %}" * 500
    with pytest.raises(InvalidPayload):
        templates.check("message.text", source)


# -- the e-mail ---------------------------------------------------------------------------------


def message(**content) -> Message:
    body = {"to": "anna@shop.example", "subject": "Hello", "text": "x", **content}
    return Message("p1", "msg_1", "c", body, "queued", 0)


def test_an_email_has_the_identity_of_its_message():
    mail = compose(message(html="<b>x</b>"), "Shop <shop@shop.example>")
    assert mail["Message-ID"] == "<msg_1@shop.example>"
    assert mail["From"] == "Shop <shop@shop.example>"
    assert mail["To"] == "anna@shop.example"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    other = compose(message(**{"from": "sale@shop.example"}), "Shop <shop@shop.example>")
    assert other["From"] == "sale@shop.example"


@pytest.mark.parametrize("content", [{"to": "a@b\r\nBcc: c@d"}, {"subject": "x\r\nBcc: c@d"}])
def test_a_header_cannot_be_injected(content):
    with pytest.raises(ValueError):
        compose(message(**content), "Shop <shop@shop.example>")


def test_smtp_urls():
    assert parse_smtp_url("smtp://127.0.0.1:1025") == ("127.0.0.1", 1025, None, None, False)
    assert parse_smtp_url("smtps://u%40x:p%3A@mail.example") == (
        "mail.example",
        465,
        "u@x",
        "p:",
        True,
    )
    for wrong in ("", "http://x", "smtp://", "mail.example:25"):
        with pytest.raises(ValueError):
            parse_smtp_url(wrong)
