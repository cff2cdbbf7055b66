-- Features: what customers are given access to, and what measures it.

CREATE TABLE features (
    namespace   TEXT COLLATE "binary" NOT NULL,
    id          TEXT COLLATE "binary" NOT NULL,
    key         TEXT COLLATE "binary" NOT NULL,
    name        TEXT COLLATE "binary" NOT NULL,
    metadata    TEXT NOT NULL,
    meter_id    TEXT COLLATE "binary",
    meter_slug  TEXT COLLATE "binary",
    filters     TEXT NOT NULL,
    unit_cost   TEXT,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    archived_at BIGINT,
    PRIMARY KEY (namespace, id)
);

-- A key belongs to one live feature; archived features keep theirs.
CREATE UNIQUE INDEX features_live_key ON features (namespace, key) WHERE archived_at IS NULL;
CREATE INDEX features_by_meter ON features (namespace, meter_id) WHERE archived_at IS NULL;
