-- Customers, and which event subjects are theirs while they live.

CREATE TABLE customers (
    namespace       TEXT COLLATE "binary" NOT NULL,
    id              TEXT COLLATE "binary" NOT NULL,
    key             TEXT COLLATE "binary",
    name            TEXT COLLATE "binary" NOT NULL,
    description     TEXT,
    primary_email   TEXT,
    currency        TEXT,
    billing_address TEXT,
    metadata        TEXT NOT NULL,
    subject_keys    TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    deleted_at      BIGINT,
    PRIMARY KEY (namespace, id)
);

-- A key belongs to one live customer; deleted customers keep theirs.
CREATE UNIQUE INDEX customers_live_key ON customers (namespace, key) WHERE deleted_at IS NULL;
CREATE INDEX customers_by_name ON customers (namespace, name, id);

-- The links of live customers only: a subject belongs to one of them at a time.
CREATE TABLE customer_subjects (
    namespace   TEXT COLLATE "binary" NOT NULL,
    subject_key TEXT COLLATE "binary" NOT NULL,
    customer_id TEXT COLLATE "binary" NOT NULL,
    PRIMARY KEY (namespace, subject_key)
);
CREATE INDEX customer_subjects_by_customer ON customer_subjects (namespace, customer_id);
