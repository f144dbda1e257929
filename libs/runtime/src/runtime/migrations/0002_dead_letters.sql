-- The newest letter of a stream tells whether the stream is held back.
DROP INDEX dead_letters_stream;
CREATE INDEX dead_letters_stream ON dead_letters (consumer, project_id, stream_id, id);
