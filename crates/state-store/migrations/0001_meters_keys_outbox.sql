-- One text for SQLite and PostgreSQL: TEXT and BIGINT only. Times are microseconds since 1970, lists and maps are JSON text.
-- "binary" orders text by its bytes. SQLite has it built in; on PostgreSQL the migration runner creates it.

CREATE TABLE meters (
    namespace      TEXT COLLATE "binary" NOT NULL,
    id             TEXT COLLATE "binary" NOT NULL,
    slug           TEXT COLLATE "binary" NOT NULL,
    name           TEXT NOT NULL,
    description    TEXT,
    aggregation    TEXT NOT NULL,
    event_type     TEXT NOT NULL,
    event_from     BIGINT,
    value_property TEXT,
    group_by       TEXT NOT NULL,
    metadata       TEXT,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    deleted_at     BIGINT,
    PRIMARY KEY (namespace, id)
);

-- A slug belongs to one live meter; deleted meters keep theirs.
CREATE UNIQUE INDEX meters_live_slug ON meters (namespace, slug) WHERE deleted_at IS NULL;

CREATE TABLE api_keys (
    namespace   TEXT COLLATE "binary" NOT NULL,
    id          TEXT COLLATE "binary" NOT NULL,
    name        TEXT NOT NULL,
    scopes      TEXT NOT NULL,
    secret_hash TEXT COLLATE "binary" NOT NULL,
    created_at  BIGINT NOT NULL,
    revoked_at  BIGINT,
    PRIMARY KEY (namespace, id)
);

-- A secret is looked up before its namespace is known, and a key is revoked by its id alone.
CREATE UNIQUE INDEX api_keys_secret_hash ON api_keys (secret_hash);
CREATE UNIQUE INDEX api_keys_id ON api_keys (id);

-- What changed, in commit order within a namespace: outbox_heads hands out the positions under a row lock.
CREATE TABLE outbox_heads (
    namespace TEXT COLLATE "binary" NOT NULL,
    last      BIGINT NOT NULL,
    PRIMARY KEY (namespace)
);

CREATE TABLE outbox (
    namespace TEXT COLLATE "binary" NOT NULL,
    position  BIGINT NOT NULL,
    entity    TEXT NOT NULL,
    entity_id TEXT COLLATE "binary" NOT NULL,
    change    TEXT NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (namespace, position)
);

-- Written by the readiness check, to learn whether a commit succeeds.
CREATE TABLE write_probe (
    id     BIGINT NOT NULL,
    writes BIGINT NOT NULL,
    PRIMARY KEY (id)
);
