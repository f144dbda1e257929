"""Limits of the runtime, each with its unit in its name."""

INTAKE_ELEMENTS_MAX = 1_000
"""Elements of one message on an intake topic."""

RECORD_BYTES_MAX = 8 * 1024 * 1024
"""Largest record that is produced; a slice of generated codes is the largest event."""

BATCH_BYTES_MAX = 512 * 1024
"""Values of one transaction's records; a single one may be larger. A slice of 2,000 new codes has 40 kB and
is 0.2 s of a projection's work: a backlog of them, taken whole, would outlast every time limit."""

BATCH_S_MAX = 2.0
"""A batch that fails after so long is not tried whole again."""

RETRY_DELAY_S_MAX = 5.0
"""Longest pause between two tries while Postgres is away."""

STORAGE_FULL_PAUSE_S = 1.0
"""Between two tries to store something where there is no room."""

STORAGE_FULL_RETRY_S = 10
"""What a caller is told to wait before it repeats a request, when there is no room for its effect."""

CONTENTION_RETRIES_MAX = 5
"""How often a whole batch is tried again after a conflict before it is taken apart."""

IDLE_IN_TRANSACTION_S_MAX = 15
"""How long Postgres waits inside a transaction for a process that may be stopped, and holds its locks."""

STATEMENT_S_MAX = 8.0
"""How long a process waits for Postgres' answer to one statement, or to connect. Longer than any statement
takes; what is slower is a connection whose other end is gone and does not say so, and all is to be well ten
seconds after such a link is."""

CANCEL_S_MAX = 0.8
"""How long it then waits for Postgres to confirm that the statement is cancelled, before it hangs up."""

CLOCK_SKEW_S_MAX = 60.0
"""How far a process's clock may be from Postgres': with more it does not start. Validity and expiry are
judged by it, and webhooks are signed with its time."""

BROKER_ANSWER_MS_MAX = 8_000
"""How long a process waits for the broker's answer to one request before it connects anew. A group waits
two seconds longer for a member that has died; who joins it meanwhile asks a second time."""

BROKER_SILENCE_MS_MAX = 5_000
"""After so long without a record to send, a producer connects anew for the next. Whoever hears of nothing
because its link is dead has nothing to send, and would find out only then that this one is dead as well."""

RELAY_IDLE_S_MAX = 10
"""How long a relay may be silent before Postgres lets a sister process publish."""

RELAY_EVENTS_MAX = 1_000
"""Events that the relay publishes before it saves its cursor."""

BACKLOG_RECORDS = 100
"""A consumer of events that fetches so many at once is behind, and takes the next without a rest."""

METRICS_SAMPLE_S = 5.0
"""How often lags, dead letters and held streams are looked up for the metrics."""

SAMPLE_TIMEOUT_S = 3.0
"""How long such a look may take; the metrics then keep what they said before."""

FETCH_WAIT_MS = 250
"""How long the broker holds a fetch that finds nothing: what an idle consumer costs it."""

METADATA_AGE_MS_MAX = 10_000
"""How long a consumer believes what it knows of topics: one that was lost and made again comes back."""

STREAM_LENGTH_MAX = 500
"""Characters by which a stream is told from others among the dead letters."""

PROJECT_ID_LENGTH_MAX = 100
"""Characters of the project that an upstream system names."""

GARBAGE_ALLOCATIONS = 20_000
"""Allocations, less what was freed, after which Python looks for cycles; its own default is 700."""

UNKNOWN_PROJECTS_REMEMBERED_MAX = 10_000
"""Unknown projects that upstream systems named, of which a process knows since when it waits for them."""

BULK_CANDIDATES_MAX = 20
"""Asynchronous changes that a worker looks at before it waits."""

BULK_IDLE_S = 0.1
"""Pause of that worker when there is nothing to do."""

BULK_UNFINISHED_HOURS = 24
"""How long parts of an asynchronous change are kept whose last part never came."""

BULK_FINDINGS_MAX = 100
"""Findings of its audit."""

NICENESS_BEHIND_CHECKOUT = 5
"""Of services for which no checkout waits: a third of the processor's time where both could use all of it."""
