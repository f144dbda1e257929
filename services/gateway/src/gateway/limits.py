"""Limits of the API, shown in docs and answers."""

BODY_BYTES_MAX = 1024 * 1024
"""A request's body."""

BULK_BODY_BYTES_MAX = 10 * 1024 * 1024
"""A body with many things: a list of them, or an imported file."""

BULK_BODIES_MAX = 4
"""Such bodies that a gateway reads and passes on at the same time; others wait."""

BULK_BODY_WAIT_S = 5.0
"""How long they wait before they are told to come again."""

BULK_BODY_RECEIVE_S = 60.0
"""How long such a body may take to arrive."""

BULK_ANSWER_S_MAX = 60.0
"""How long passing one on may take once it is there: part by part, each bounded like a request."""

BULK_ELEMENTS_MAX = 10_000
"""Things that one asynchronous change names."""

BULK_PART_BYTES_MAX = 256 * 1024
"""One part of an asynchronous change, about: an element larger than this is a part by itself."""

BULK_BYTES_MAX = 64 * 1024 * 1024
"""All parts of one together: metadata that is sent once is written to each of the things."""

IMPORT_ROWS_MAX = 50_000
"""Lines of an imported file, besides the header."""

IMPORT_COLUMNS_MAX = 300
"""Columns of an imported file."""

FORM_FIELDS_MAX = 10
"""Fields of a form with a file."""

REQUESTS_IN_FLIGHT_MAX = 512
"""Requests that one gateway answers at the same time; what comes beyond is told to come again."""

ANSWER_S_MAX = 9.0
"""A request is answered within ten seconds, whatever hangs: the last of them is for letting go of it. A body
with many things has limits of its own."""

BODY_DEPTH_MAX = 32
"""Nesting of objects and lists in a body."""

TEXT_LENGTH_MAX = 65_536
"""Characters of one property; most have smaller limits in the service that owns them."""

LIST_LENGTH_MAX = 10_000
"""Elements of one list in a body."""

QUERY_FIELDS_MAX = 200
"""Parameters of one query."""

QUERY_DEPTH_MAX = 5
"""Nesting of names in a query."""

QUERY_DIGITS_MAX = 15
"""Digits of a number in a query."""

EXCLUSIVE_REDEEMABLES_MAX = 5
"""Highest limit of redeemables that exclude others, which a project's stacking rules may set."""

STACKING_CATEGORIES_MAX = 100
"""Categories that one of a project's stacking rules names."""

ID_LENGTH_MAX = 100
"""Characters of an id in a project's stacking rules."""

REDEEMABLES_MAX = 30
"""Redeemables of one validation or redemption."""

PAGE_SIZE_MAX = 100
"""Objects on one page of a list."""

PAGE_MAX = 1000
"""Pages of a list that may be turned."""

FILTER_CONDITIONS_MAX = 20
"""Conditions in the filters of one list."""

IDEMPOTENCY_KEY_LENGTH_MAX = 255
"""Characters of an Idempotency-Key."""

KEPT_ANSWER_BYTES_MAX = 256 * 1024
"""An answer that is kept under its Idempotency-Key."""

REMEMBERED_WRITES_S = 60.0
"""How long the newest write of a thing is remembered."""

REMEMBERED_WRITES_MAX = 200_000
"""Codes, customers and orders whose newest write is remembered, for reads to wait for."""

HEADER_POSITIONS_MAX = 32
"""Positions in the header that a client sends back."""

APP_ID_LENGTH_MAX = 100
"""Characters of the public half of a key."""

KEYS_REMEMBERED_MAX = 10_000
"""Keys, known and unknown, that a gateway remembers for a few seconds."""

CATALOGUE_SCANNED_MAX = 100_000
"""Products and SKUs that are looked at for one page of a collection's."""

USERS_SHOWN_MAX = 10
"""Ids that the refusal of a deletion names."""

PARTITIONS_MAX = 256
"""Partitions of a topic that a position may name."""

DIGITS_MAX = 18
"""Digits of a whole number that fits into 64 bits."""

VOUCHERS_COUNT_MAX = 10_000_000
"""Codes that one request asks for; campaigns generates as many under one action."""

ORIGINS_MAX = 100
"""Origins from which a project's client-side key may be used."""

RATE_PER_MINUTE_MAX = 100_000_000
"""Highest rate that a project may be given."""

DELIVERY_ATTEMPTS_SHOWN_MAX = 50
"""Attempts kept of one webhook delivery, the newest."""

PROJECT_TEXT_LENGTH_MAX = 255
"""Characters of a project's name, and of each of its trusted domains."""

PROJECT_DESCRIPTION_LENGTH_MAX = 2_000
"""Characters of a project's description."""

DIAL_CODE_LENGTH_MAX = 10
"""Characters of a project's dial code."""

NOTIFIED_ADDRESSES_MAX = 20
"""Addresses of one kind of notification."""

CALENDAR_YEAR_MIN = 1970
"""First year that a day of a summary may lie in."""

CALENDAR_YEAR_MAX = 9998
"""Last year that a day of a summary may lie in."""

QUALIFICATIONS_SHOWN_DEFAULT = 5
"""Redeemables on a page of a qualification, where the request does not say."""

QUALIFICATIONS_SHOWN_MAX = 50
"""The same, at most."""
