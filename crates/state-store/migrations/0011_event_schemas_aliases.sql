-- Schemas of events, one row for each version, and other names of subjects.

CREATE TABLE event_schemas (
    namespace       TEXT COLLATE "binary" NOT NULL,
    id              TEXT COLLATE "binary" NOT NULL,
    version         BIGINT NOT NULL,
    name            TEXT COLLATE "binary" NOT NULL,
    status          TEXT COLLATE "binary" NOT NULL,
    description     TEXT,
    attributes      TEXT NOT NULL,
    attribute_units TEXT NOT NULL,
    dimensions      TEXT NOT NULL,
    filter_fields   TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    deleted_at      BIGINT,
    PRIMARY KEY (namespace, id, version)
);

-- A name has one live schema, and a schema has each version once.
CREATE UNIQUE INDEX event_schemas_live_name ON event_schemas (namespace, name, version) WHERE deleted_at IS NULL;

CREATE TABLE subject_aliases (
    namespace   TEXT COLLATE "binary" NOT NULL,
    name        TEXT COLLATE "binary" NOT NULL,
    subject_key TEXT COLLATE "binary" NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (namespace, name)
);
CREATE INDEX subject_aliases_by_subject ON subject_aliases (namespace, subject_key);
