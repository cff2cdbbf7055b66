-- Described subjects: a name and labels for the id that events carry.

CREATE TABLE subjects (
    namespace          TEXT COLLATE "binary" NOT NULL,
    id                 TEXT COLLATE "binary" NOT NULL,
    key                TEXT COLLATE "binary" NOT NULL,
    display_name       TEXT,
    metadata           TEXT NOT NULL,
    stripe_customer_id TEXT,
    created_at         BIGINT NOT NULL,
    updated_at         BIGINT NOT NULL,
    deleted_at         BIGINT,
    PRIMARY KEY (namespace, id)
);

-- A subject has one live description.
CREATE UNIQUE INDEX subjects_live_key ON subjects (namespace, key) WHERE deleted_at IS NULL;
